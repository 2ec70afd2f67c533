// SystemC stays inside simulator/.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

/// "#include <systemc...", <tlm...> or <sysc/...>, with any spaces, in either kind of quotes.
bool includes_systemc(std::string line) {
  line.erase(std::remove_if(line.begin(), line.end(), [](unsigned char c) { return std::isspace(c); }), line.end());
  for (const char* header : {"systemc", "tlm", "sysc/"}) {
    if (line.rfind(std::string("#include<") + header, 0) == 0) return true;
    if (line.rfind(std::string("#include\"") + header, 0) == 0) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("the border guard knows an include when it sees one", "[simulator][border]") {
  CHECK(includes_systemc("#include <systemc>"));
  CHECK(includes_systemc("  # include \"tlm.h\""));
  CHECK(includes_systemc("#include <sysc/kernel/sc_time.h>"));
  CHECK_FALSE(includes_systemc("// #include <systemc>"));
  CHECK_FALSE(includes_systemc("#include \"simulator/simulator.h\""));
}

TEST_CASE("SystemC and TLM are included in simulator/ only, and not by its public header", "[simulator][border]") {
  namespace fs = std::filesystem;
  const fs::path root = SPILLWAY_SOURCE_DIR;
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
        if (includes_systemc(line)) FAIL_CHECK(name << ": " << line);
      }
    }
  }
  CHECK(files > 20);
}
