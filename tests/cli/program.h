// Runs the built binary as a user would, in a folder of its own.
#pragma once

#include <string>

#include "tests/temporary_files.h"

namespace spillway::test {

struct Ran {
  int code = -1;  ///< exit code, as a shell sees it
  std::string out, err;
};

class Workplace : public testing::TemporaryFolder {
 public:
  /// `arguments` as typed after "spillway ", run by a shell inside the folder.
  [[nodiscard]] Ran run(const std::string& arguments) const;

 private:
  testing::TemporaryFolder capture_;
};

[[nodiscard]] bool contains(const std::string& text, const std::string& part);

}  // namespace spillway::test
