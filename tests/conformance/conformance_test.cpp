// Does the reference executor compute what ONNX says? ONNX's own node tests are the truth.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "tests/conformance/cases.h"

namespace spillway::workloads::test {

namespace {

const std::string kCases = SPILLWAY_NODE_TESTS "/node";
const std::string kNotRun = SPILLWAY_SOURCE_DIR "/tests/conformance/not_run.txt";

}  // namespace

TEST_CASE("every node test of ONNX passes except those listed", "[conformance]") {
  const auto cases = node_cases(kCases);
  if (cases.empty()) {
    WARN("skipped: no node tests; install python3-onnx and run scripts/onnx-node-tests " SPILLWAY_NODE_TESTS);
    return;
  }
  const auto listed = not_run(kNotRun);
  std::size_t passed = 0;
  for (const auto& name : cases) {
    const auto outcome = run_case(kCases, name);
    passed += outcome.trouble.empty() ? 1 : 0;
    const auto reason = listed.find(name);
    if (std::getenv("SPILLWAY_SHOW") != nullptr && !outcome.trouble.empty()) std::cout << name << ": " << outcome.trouble << '\n';
    if (reason == listed.end()) {
      INFO(name << ": " << outcome.trouble);
      CHECK(outcome.trouble.empty());
    } else {
      INFO(name << " passes although not_run.txt lists it: " << reason->second);
      CHECK_FALSE(outcome.trouble.empty());
    }
  }
  for (const auto& [name, reason] : listed) {
    INFO(name << " is listed in not_run.txt but there is no such case");
    CHECK(std::binary_search(cases.begin(), cases.end(), name));
  }
  std::cout << passed << " of " << cases.size() << " pass\n";
  CHECK(passed >= 650);
}

}  // namespace spillway::workloads::test
