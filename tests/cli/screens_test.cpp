// Does every screen fit: help that names defaults and examples, 120 columns, a profile of one screen, dry runs?
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "program.h"

using nlohmann::json;
using spillway::test::contains;
using spillway::test::Ran;
using spillway::test::Workplace;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Every verb, and what must stand before its flags.
const std::vector<std::pair<std::string, std::string>> kVerbs = {
    {"profile", "sd-tiny/unet"}, {"run", "sd-tiny/unet"},   {"partition", "sd-tiny/unet"}, {"compare", "a.json b.json"},
    {"inspect", "sd-tiny/unet"}, {"zoo export", "sd-tiny"}, {"config show", "edge-8mb"}};

struct Flag {
  std::string head, text;  ///< "--npu TEXT", its description in one line
};

/// The entries of the help's lists of flags and arguments.
std::vector<Flag> flags_of(const std::string& help) {
  std::vector<Flag> flags;
  bool in_list = false;
  for (const std::string& line : lines_of(help)) {
    if (!line.starts_with("  ")) {
      in_list = line.starts_with("Options:") || line.starts_with("Positionals:");
      continue;
    }
    if (!in_list) continue;
    const std::size_t text = line.find_first_not_of(' ', 23);
    if (line[2] != ' ') flags.push_back({line.substr(2, 22), ""});
    if (text != std::string::npos && text >= 24) flags.back().text += line.substr(text) + " ";
  }
  return flags;
}

}  // namespace

TEST_CASE("help gives every flag's default, and an example that the verb takes", "[cli][screens]") {
  const Workplace place;
  for (const auto& [verb, target] : kVerbs) {
    const std::string help = place.run(verb + " --help").out;
    const auto flags = flags_of(help);
    CHECK(flags.size() > 3);
    for (const Flag& flag : flags) {
      INFO(verb << ": " << flag.head << flag.text);
      CHECK(contains(flag.text, "(default: "));
      std::smatch example;
      const std::regex pattern("e\\.g\\. ([^)]*)\\)");
      const bool takes_value = std::regex_search(flag.head, std::regex("TEXT|INT|FLOAT"));
      REQUIRE(std::regex_search(flag.text, example, pattern) == takes_value);
      if (!takes_value) continue;
      const std::string typed = example[1];
      if (flag.head.starts_with("--")) {
        CHECK(typed.starts_with(flag.head.substr(0, flag.head.find(' ')) + " "));
        CHECK(place.run(verb + " " + target + " " + typed + " --help").code == 0);
      }
    }
  }
  for (const Flag& flag : flags_of(place.run("--help").out)) CHECK(contains(flag.text, "(default: "));
}

TEST_CASE("the defaults that help names are those that are used", "[cli][screens]") {
  const Workplace place;
  const std::string bare = place.run("profile sd-tiny --no-sensitivity --format json").out;
  const std::string said = place
                               .run(
                                   "profile sd-tiny --no-sensitivity --format json --npu edge-8mb --strategy fused "
                                   "--objective latency --steps 20 --seed 1 --out out/sd-tiny")
                               .out;
  json a = json::parse(bare), b = json::parse(said);
  a["context"].erase("command"), b["context"].erase("command");
  CHECK(a == b);
}

TEST_CASE("a flag with a slip names the nearest of its verb", "[cli][screens]") {
  const Workplace place;
  for (const auto& [verb, target] : kVerbs) {
    for (const Flag& flag : flags_of(place.run(verb + " --help").out)) {
      const std::string name = flag.head.substr(0, flag.head.find(' '));
      if (!name.starts_with("--")) continue;
      const Ran ran = place.run(verb + " " + target + " " + name + "x");
      INFO(verb << " " << name << "x: " << ran.err);
      CHECK(ran.code == 2);
      CHECK(contains(ran.err, "unknown flag '" + name + "x'"));
      CHECK(contains(ran.err, "did you mean '" + name + "'?"));
    }
  }
  CHECK(contains(place.run("profile sd-tiny --werror").err, "did you mean '--Werror'?"));
  CHECK(contains(place.run("run sd-tiny/unet --ouput o").err, "did you mean '--output'?"));
  CHECK(place.files().empty());
}

TEST_CASE("no line of any screen is over 120 columns", "[cli][screens]") {
  const Workplace place;
  for (const char* arguments : {"--help",
                                "profile --help",
                                "run --help",
                                "partition --help",
                                "compare --help",
                                "inspect --help",
                                "zoo --help",
                                "zoo export --help",
                                "config --help",
                                "config show --help",
                                "config list",
                                "zoo list",
                                "inspect sdxl/unet",
                                "inspect sd15 --detail",
                                "partition sd-tiny",
                                "partition sd-tiny --detail --check",
                                "partition sd-tiny --map --sram 128KiB",
                                "partition sd15/text_encoder --map",
                                "profile sd-tiny",
                                "profile sd-tiny --detail",
                                "profile sd15/vae_encoder --no-sensitivity --detail",
                                "profile sd15/text_encoder --strategy layer-by-layer",
                                "run sd-tiny/text_encoder --check"}) {
    const Ran ran = place.run(arguments);
    REQUIRE(ran.code == 0);
    for (const std::string& line : lines_of(ran.out)) {
      INFO(arguments << ": " << line);
      CHECK(line.size() <= 120);
    }
  }
}

TEST_CASE("a profile is one screen of 45 lines, the answer first", "[cli][screens]") {
  const Workplace place;
  for (const char* arguments : {"sd15/text_encoder", "sd-tiny/unet", "sd-tiny/unet --sram 300KiB --precision fp16",
                                "sd15/text_encoder --strategy layer-by-layer"}) {
    const auto lines = lines_of(place.run(std::string("profile ") + arguments).out);
    INFO(arguments);
    CHECK(lines.size() <= 45);
    std::vector<std::string> labels;
    for (const std::string& line : lines) {
      if (line.size() > 15 && line.starts_with("  ") && line[2] != ' ') labels.push_back(line.substr(2, 13));
    }
    REQUIRE(labels.size() > 4);
    for (const auto& [i, label] : {std::pair{0, "latency"}, {1, "bound by"}, {2, "utilisation"}, {3, "lower bound"}}) {
      CHECK(labels[static_cast<std::size_t>(i)].starts_with(label));
    }
    CHECK(lines.size() < lines_of(place.run(std::string("profile --detail ") + arguments).out).size());
  }
}

TEST_CASE("a dry run prints the resolved config and the plan's size, and stops", "[cli][screens]") {
  const Workplace place;
  const std::string overrides = " --sram 512KiB --set dram.channels=2 --precision fp16";
  const Ran ran = place.run("profile sd-tiny" + overrides + " --dry-run --out here");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  CHECK(place.files().empty());
  // What is printed is the config file itself.
  place.write("dry.yaml", ran.out);
  CHECK(place.run("config show dry.yaml").out == place.run("config show edge-8mb" + overrides).out);
  for (const char* graph : {"text_encoder", "unet", "vae_encoder", "vae_decoder"}) {
    CHECK(contains(ran.out, std::string("# sd-tiny/") + graph + " (fused, for latency)\n#   plan       "));
  }
  for (const std::string& line : lines_of(ran.out)) CHECK((line.size() <= 120 || !line.starts_with("#")));
  const json dry = json::parse(place.run("profile sd-tiny/unet --dry-run --format json").out);
  const json plan = json::parse(place.run("partition sd-tiny/unet --format json").out).at("graphs")[0];
  REQUIRE(dry.at("plans").size() == 1);
  const json& size = dry.at("plans")[0];
  CHECK(dry.at("dry_run") == true);
  CHECK(dry.at("resolved_config") == place.run("config show edge-8mb").out);
  CHECK(size.at("groups") == plan.at("groups").size());
  CHECK(size.at("residencies") == plan.at("residencies").size());
  for (const char* key : {"commands", "predicted_cycles", "moved_bytes", "peak_scratchpad_bytes"}) {
    CHECK(size.at(key) == plan.at(key));
  }
  place.write("run.yaml", place.run("run sd-tiny/unet --dry-run --out here").out);
  CHECK(place.run("config show run.yaml").out == place.run("config show edge-8mb --precision fp32").out);
  CHECK(place.run("profile sd-tiny/unet --sram 1KiB --dry-run").code == 3);
  CHECK(place.files() == std::vector<std::string>{"dry.yaml", "run.yaml"});
}

TEST_CASE("warnings are counted at the end, and with --Werror they stop the run", "[cli][screens]") {
  const Workplace place;
  REQUIRE(place.run("zoo export sd-tiny --out tiny").code == 0);
  const auto before = place.files();
  const Ran one = place.run("inspect tiny/unet/model.onnx");
  CHECK(one.code == 0);
  CHECK(one.err.ends_with("\n1 warning\n"));
  const Ran all = place.run("inspect tiny");
  CHECK(all.err.ends_with("\n4 warnings\n"));
  CHECK(place.run("inspect tiny -q").err.empty());
  CHECK(place.run("inspect sd-tiny").err.empty());
  for (const char* arguments : {"profile tiny", "partition tiny", "inspect tiny", "profile tiny -q"}) {
    const Ran fatal = place.run(std::string(arguments) + " --Werror");
    INFO(arguments << ": " << fatal.err);
    CHECK(fatal.code == 2);
    CHECK(fatal.out.empty());
    CHECK(contains(fatal.err, "warning: tiny/vae_decoder/model.onnx: "));
    CHECK(contains(fatal.err, "error: 4 warnings, and --Werror makes warnings errors\n  help: "));
  }
  CHECK(place.run("profile sd-tiny/unet --no-sensitivity --Werror --dry-run").code == 0);
  CHECK(place.files() == before);
}

TEST_CASE("the map draws what the JSON lists: a held tensor's letter at its address, a row a group", "[cli][screens]") {
  const Workplace place;
  const std::string arguments = "partition sd-tiny/vae_decoder --sram 128KiB";
  const Ran ran = place.run(arguments + " --map");
  REQUIRE(ran.code == 0);
  const json plan = json::parse(place.run(arguments + " --format json").out).at("graphs")[0];
  std::vector<std::string> rows;
  for (const std::string& line : lines_of(ran.out)) {
    const auto bar = line.find('|');
    if (bar != std::string::npos) rows.push_back(line.substr(bar + 1, line.rfind('|') - bar - 1));
  }
  REQUIRE(rows.size() == plan.at("groups").size());
  REQUIRE(rows.size() == plan.at("occupancy").size());
  const auto budget = plan.at("budget_bytes").get<std::int64_t>();
  int seen = 0;
  for (const json& held : plan.at("residencies")) {
    const auto address = held.at("address").get<std::int64_t>();
    const auto bytes = held.at("bytes").get<std::int64_t>();
    // Its middle column is all its own if it is three columns wide.
    if (bytes * 80 < budget * 3) continue;
    const auto column = static_cast<std::size_t>((address + bytes / 2) * 80 / budget);
    const auto first = held.at("first_group").get<std::size_t>();
    const auto last = held.at("last_group").get<std::size_t>();
    for (std::size_t g = first; g <= last; ++g) {
      CHECK(std::isalnum(static_cast<unsigned char>(rows[g][column])) != 0);
      CHECK(rows[g][column] == rows[first][column]);
    }
    ++seen;
  }
  CHECK(seen > 3);
  // Occupancy is the sum of what is listed, and the report's peak its largest.
  std::int64_t peak = 0;
  for (std::size_t g = 0; g < rows.size(); ++g) {
    std::int64_t resident = 0;
    std::int64_t buffers = 0;
    for (const json& held : plan.at("residencies")) {
      if (held.at("first_group") <= g && g <= held.at("last_group")) resident += held.at("bytes").get<std::int64_t>();
    }
    for (const json& buffer : plan.at("groups")[g].at("buffers")) {
      buffers += buffer.at("bytes").get<std::int64_t>();
      CHECK(buffer.at("first_group") == g);
    }
    CHECK(plan.at("occupancy")[g].at("resident_bytes") == resident);
    CHECK(plan.at("occupancy")[g].at("buffer_bytes") == buffers);
    peak = std::max(peak, resident + buffers);
  }
  const json& allocation = plan.at("allocation");
  CHECK(allocation.at("peak_demand_bytes") == peak);
  CHECK(allocation.at("fragmentation_bytes") == allocation.at("packed_peak_bytes").get<std::int64_t>() - peak);
  CHECK(allocation.at("attempts").size() >= 2);
}
