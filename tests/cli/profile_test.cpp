// Does the main job hold together from the command line?
#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "program.h"

using nlohmann::json;
using spillway::test::contains;
using spillway::test::Ran;
using spillway::test::Workplace;

namespace {

json profile(const Workplace& place, const std::string& arguments) {
  const Ran ran = place.run("profile " + arguments + " --format json");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  return json::parse(ran.out);
}

}  // namespace

TEST_CASE("profile prints one screen and writes its reports", "[cli][profile]") {
  const Workplace place;
  const Ran ran = place.run("profile sd-tiny/vae_decoder --no-sensitivity");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  CHECK(ran.out.starts_with("sd-tiny/vae_decoder (int8, batch 1, fused) on edge-8mb @ 1000 MHz"));
  for (const char* label :
       {"latency", "bound by", "utilisation", "moves", "working", "executed", "slowest", "energy", "not modelled"}) {
    CHECK(contains(ran.out, label));
  }
  const std::string folder = "out/sd-tiny_vae_decoder/";
  CHECK(place.files() == std::vector<std::string>{
                             folder + "report.json", folder + "resolved_config.yaml", folder + "vae_decoder.groups.csv",
                             folder + "vae_decoder.operators.csv", folder + "vae_decoder.tensors.csv"});
}

TEST_CASE("in JSON mode stdout is the report and nothing else", "[cli][profile]") {
  const Workplace place;
  const json printed = profile(place, "sd-tiny/text_encoder --no-sensitivity --out here");
  CHECK(json::parse(place.read("here/report.json")) == printed);
}

TEST_CASE("the parts of a real profile add up", "[cli][profile]") {
  const Workplace place;
  const json report = profile(place, "sd-tiny --no-sensitivity");
  REQUIRE(report.at("graphs").size() == 4);
  for (const json& graph : report.at("graphs")) {
    INFO(graph.at("model"));
    const auto cycles = graph.at("latency_cycles").get<std::int64_t>();
    CHECK(cycles > 0);
    std::int64_t bound = 0, critical = 0, operators = 0, group_moves = 0, macs = 0, ops = 0;
    for (const auto& [cause, n] : graph.at("bound_by_cycles").items()) bound += n.get<std::int64_t>();
    CHECK(bound == cycles);
    for (const json& group : graph.at("groups")) {
      critical += group.at("critical_cycles").get<std::int64_t>();
      group_moves += group.at("moved_bytes").get<std::int64_t>();
    }
    CHECK(critical == cycles);
    const auto moved = graph.at("moves").at("total").at("bytes").get<std::int64_t>();
    CHECK(group_moves == moved);
    CHECK(graph.at("predicted_moves") == graph.at("moves"));
    std::int64_t matrix = 0, vector = 0, dma = 0;
    for (const json& row : graph.at("executed")) {
      operators += row.at("moved_bytes").get<std::int64_t>();
      macs += row.at("macs").get<std::int64_t>();
      ops += row.at("vector_ops").get<std::int64_t>();
      matrix += row.at("matrix_busy_cycles").get<std::int64_t>();
      vector += row.at("vector_busy_cycles").get<std::int64_t>();
      dma += row.at("dma_busy_cycles").get<std::int64_t>();
      CHECK(row.at("operator") != "(none)");
    }
    CHECK(operators == moved);
    CHECK(macs == graph.at("macs").get<std::int64_t>());
    CHECK(ops == graph.at("vector_ops").at("total").get<std::int64_t>());
    std::int64_t busy_matrix = 0, busy_vector = 0, busy_dma = 0;
    for (const json& engine : graph.at("engines")) {
      const auto name = engine.at("name").get<std::string>();
      const auto busy = engine.at("busy_cycles").get<std::int64_t>();
      (name.starts_with("matrix") ? busy_matrix : name.starts_with("vector") ? busy_vector : busy_dma) += busy;
      std::int64_t all = busy;
      for (const auto& [cause, n] : engine.at("waiting_cycles").items()) all += n.get<std::int64_t>();
      CHECK(all == cycles);
    }
    CHECK(matrix == busy_matrix);
    CHECK(vector == busy_vector);
    CHECK(dma == busy_dma);
    CHECK(graph.at("peak_scratchpad_bytes") <= graph.at("budget_bytes"));
    CHECK(static_cast<double>(cycles) >= graph.at("lower_bound").at("cycles").get<double>());
    CHECK(moved >= graph.at("compulsory_bytes").get<std::int64_t>());
  }
}

TEST_CASE("the pipeline total counts runs as its assumptions say", "[cli][profile]") {
  const Workplace place;
  const json on = profile(place, "sd-tiny --no-sensitivity --steps 7");
  const json off = profile(place, "sd-tiny --no-sensitivity --steps 7 --no-guidance");
  const auto times = [](const json& report) {
    std::vector<int> n;
    for (const json& line : report.at("pipeline").at("lines")) n.push_back(line.at("times").get<int>());
    return n;
  };
  // Text encoder, U-Net, sampler, VAE decoder.
  CHECK(times(on) == std::vector<int>{2, 7, 7, 1});
  CHECK(times(off) == std::vector<int>{1, 7, 7, 1});
  CHECK(on.at("graphs")[1].at("batch") == 2);
  CHECK(off.at("graphs")[1].at("batch") == 1);
  for (const json& report : {on, off}) {
    std::int64_t total = 0;
    for (const json& line : report.at("pipeline").at("lines")) {
      CHECK(line.at("cycles_each") > 0);
      total += line.at("times").get<std::int64_t>() * line.at("cycles_each").get<std::int64_t>();
    }
    CHECK(report.at("pipeline").at("total_cycles").get<std::int64_t>() == total);
  }
  // A single graph is no pipeline.
  CHECK(profile(place, "sd-tiny/unet --no-sensitivity").at("pipeline").is_null());
}

TEST_CASE("an exported folder profiles as the zoo model does", "[cli][profile]") {
  const Workplace place;
  REQUIRE(place.run("zoo export sd-tiny --out tiny --with-weights").code == 0);
  const Ran text = place.run("profile ./tiny --no-sensitivity --out a");
  INFO(text.err);
  CHECK(text.code == 0);
  CHECK(contains(text.out, "pipeline, prompt to image"));
  const json folder = json::parse(place.read("a/report.json"));
  const json zoo = profile(place, "sd-tiny --no-sensitivity");
  REQUIRE(folder.at("graphs").size() == zoo.at("graphs").size());
  for (std::size_t i = 0; i < zoo.at("graphs").size(); ++i) {
    CHECK(folder.at("graphs")[i].at("latency_cycles") == zoo.at("graphs")[i].at("latency_cycles"));
    CHECK(folder.at("graphs")[i].at("moves") == zoo.at("graphs")[i].at("moves"));
  }
}

TEST_CASE("an export without weights profiles as the zoo model does, to the last figure", "[cli][profile]") {
  const Workplace place;
  REQUIRE(place.run("zoo export sd-tiny --out tiny").code == 0);
  const json folder = profile(place, "./tiny --no-sensitivity");
  const json zoo = profile(place, "sd-tiny --no-sensitivity");
  CHECK(folder.at("graphs").size() == 4);
  REQUIRE(zoo.at("graphs").size() == folder.at("graphs").size());
  for (std::size_t i = 0; i < zoo.at("graphs").size(); ++i) {
    json theirs = folder.at("graphs")[i], ours = zoo.at("graphs")[i];
    INFO(ours.at("model"));
    for (json* graph : {&theirs, &ours}) graph->erase("model"), graph->erase("notes");
    CHECK(theirs == ours);
  }
}

TEST_CASE("a folder without weights profiles with a warning and does not run", "[cli][profile]") {
  const Workplace place;
  REQUIRE(place.run("zoo export sd-tiny --out tiny").code == 0);
  const Ran profiled = place.run("profile ./tiny --no-sensitivity");
  CHECK(profiled.code == 0);
  CHECK(contains(profiled.err, "warning: ./tiny/unet/model.onnx: "));
  CHECK(contains(profiled.err, "weights.bin"));
  const Ran refused = place.run("run tiny/unet/model.onnx");
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "weights.bin"));
}

TEST_CASE("the resolved config gives the same report again", "[cli][profile]") {
  const Workplace place;
  REQUIRE(
      place.run("profile sd-tiny/unet --no-sensitivity --sram 300KiB --precision fp16 --set dram.channels=2 --out a")
          .code == 0);
  REQUIRE(place.run("profile sd-tiny/unet --no-sensitivity --npu a/resolved_config.yaml --out b").code == 0);
  for (const char* file : {"unet.groups.csv", "unet.operators.csv", "unet.tensors.csv", "resolved_config.yaml"}) {
    CHECK(place.read(std::string("a/") + file) == place.read(std::string("b/") + file));
  }
  json a = json::parse(place.read("a/report.json")), b = json::parse(place.read("b/report.json"));
  a["context"].erase("command"), b["context"].erase("command");
  CHECK(a == b);
}

TEST_CASE("the sensitivity table is the same whatever the number of jobs, and each row is a run of its own",
          "[cli][profile]") {
  const Workplace place;
  REQUIRE(place.run("profile sd-tiny/vae_decoder --jobs 1 --out a").code == 0);
  REQUIRE(place.run("profile sd-tiny/vae_decoder --jobs 3 --out b").code == 0);
  json a = json::parse(place.read("a/report.json")), b = json::parse(place.read("b/report.json"));
  a["context"].erase("command"), b["context"].erase("command");
  CHECK(a == b);
  const json rows = a.at("graphs")[0].at("sensitivity").at("rows");
  REQUIRE(rows.size() == 8);
  // Never extrapolated: the override that a row names gives the row's figures.
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{6}}) {
    const json& row = rows[i];
    INFO(row.dump());
    REQUIRE(row.at("fits") == true);
    const json alone =
        profile(place, "sd-tiny/vae_decoder --no-sensitivity --set " + row.at("override").get<std::string>());
    CHECK(alone.at("graphs")[0].at("latency_cycles") == row.at("cycles"));
    CHECK(alone.at("graphs")[0].at("moves").at("total").at("bytes") == row.at("moved_bytes"));
    CHECK(alone.at("graphs")[0].at("energy_pj").at("total").get<double>() == Approx(row.at("energy_pj").get<double>()));
  }
}

TEST_CASE("a sensitivity row that does not fit says so", "[cli][profile]") {
  const Workplace place;
  // The smallest legal budget: half of it cannot do.
  const Ran refused = place.run("partition sd-tiny/unet --sram 1KiB");
  REQUIRE(refused.code == 3);
  const std::size_t at = refused.err.find("--sram ") + 7;
  const std::string smallest = refused.err.substr(at, refused.err.find('\n', at) - at);
  const json report = profile(place, "sd-tiny/unet --sram " + smallest);
  const json row = report.at("graphs")[0].at("sensitivity").at("rows")[0];
  CHECK(row.at("knob") == "SRAM");
  CHECK(row.at("fits") == false);
  CHECK_FALSE(row.at("why_not").get<std::string>().empty());
  CHECK_FALSE(row.contains("cycles"));
}

TEST_CASE("an interrupt leaves nothing half written and exits with 130", "[cli][profile]") {
  const Workplace place;
  // The shell sends itself away; the profile of a large graph is still planning when the signal arrives.
  const Ran ran =
      place.run("--version >/dev/null; '" SPILLWAY_BINARY "' profile sd15/unet & sleep 0.5; kill -INT $!; wait $!");
  CHECK(ran.code == 130);
  CHECK(contains(ran.err, "interrupted"));
  CHECK(ran.out.empty());
  CHECK(place.files().empty());
}

TEST_CASE("quiet keeps stderr empty, verbose names the stages", "[cli][profile]") {
  const Workplace place;
  CHECK(place.run("profile sd-tiny/unet --no-sensitivity -q").err.empty());
  const Ran verbose = place.run("profile sd-tiny/unet --no-sensitivity -v");
  CHECK(contains(verbose.err, "sd-tiny/unet: planning"));
  CHECK(contains(verbose.err, "sd-tiny/unet: simulating"));
}
