#include "program.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace spillway::test {

namespace fs = std::filesystem;

namespace {

fs::path make_folder() {
  std::string name = (fs::temp_directory_path() / "spillway_cli_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  return name;
}

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Workplace::Workplace() : path_(make_folder()), capture_(make_folder()) {}

Workplace::~Workplace() {
  std::error_code error;
  fs::remove_all(path_, error);
  fs::remove_all(capture_, error);
}

Ran Workplace::run(const std::string& arguments) const {
  const std::string command = "cd '" + path_.string() + "' && { '" SPILLWAY_BINARY "' " + arguments + " ; } >'" +
                              (capture_ / "out").string() + "' 2>'" + (capture_ / "err").string() + "' </dev/null";
  const int status = std::system(command.c_str());
  Ran ran;
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ran.out = content_of(capture_ / "out");
  ran.err = content_of(capture_ / "err");
  return ran;
}

void Workplace::write(const std::string& file, const std::string& content) const {
  fs::create_directories((path_ / file).parent_path());
  std::ofstream(path_ / file, std::ios::binary) << content;
}

std::string Workplace::read(const std::string& file) const { return content_of(path_ / file); }

std::vector<std::string> Workplace::files() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(path_)) {
    if (entry.is_regular_file()) names.push_back(fs::relative(entry.path(), path_).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace spillway::test
