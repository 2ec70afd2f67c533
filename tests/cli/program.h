// Runs the built binary as a user would, in a folder of its own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace spillway::test {

struct Ran {
  int code = -1;  ///< exit code, as a shell sees it
  std::string out, err;
};

/// A temporary folder, removed at the end of the scope.
class Workplace {
 public:
  Workplace();
  ~Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// `arguments` as typed after "spillway ", run by a shell inside the folder.
  [[nodiscard]] Ran run(const std::string& arguments) const;
  void write(const std::string& file, const std::string& content) const;
  [[nodiscard]] std::string read(const std::string& file) const;
  /// Every file below the folder, sorted, relative.
  [[nodiscard]] std::vector<std::string> files() const;

 private:
  std::filesystem::path path_, capture_;
};

[[nodiscard]] bool contains(const std::string& text, const std::string& part);

}  // namespace spillway::test
