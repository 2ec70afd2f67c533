// SystemC stays inside simulator/.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>

TEST_CASE("SystemC and TLM are included in simulator/ only, and not by its public header", "[simulator][border]") {
  namespace fs = std::filesystem;
  const fs::path root = SPILLWAY_SOURCE_DIR;
  const std::regex forbidden(R"(^\s*#\s*include\s*[<"](systemc|tlm|sysc/|tlm_))");
  int files = 0;
  for (const char* folder :
       {"configs", "workloads", "partitioner", "reports", "cli", "benchmarks", "tests", "simulator"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const fs::path path = fs::relative(entry.path(), root);
      const std::string ext = path.extension();
      if (ext != ".h" && ext != ".cpp") continue;
      const std::string name = path.string();
      const bool allowed = (name.rfind("simulator/", 0) == 0 && name != "simulator/simulator.h") ||
                           name.rfind("tests/simulator/", 0) == 0;
      ++files;
      if (allowed) continue;
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) {
        if (std::regex_search(line, forbidden)) FAIL_CHECK(name << ": " << line);
      }
    }
  }
  CHECK(files > 20);
}
