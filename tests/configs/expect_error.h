// Runs an action that must fail with spillway::Error and returns that error.
#pragma once

#include <catch2/catch.hpp>

#include "configs/error.h"

namespace spillway::test {

template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  throw 0;  // not reached
}

template <typename Action>
std::string message_of(Action action) {
  return error_of(action).what();
}

}  // namespace spillway::test
