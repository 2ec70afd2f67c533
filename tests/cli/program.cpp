#include "program.h"

#include <sys/wait.h>

#include <cstdlib>

namespace spillway::test {

Ran Workplace::run(const std::string& arguments) const {
  const std::string command = "cd '" + path().string() + "' && { '" SPILLWAY_BINARY "' " + arguments + " ; } >'" +
                              capture_.path("out") + "' 2>'" + capture_.path("err") + "' </dev/null";
  const int status = std::system(command.c_str());
  Ran ran;
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ran.out = capture_.read("out");
  ran.err = capture_.read("err");
  return ran;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace spillway::test
