// Does the screen say the answer first, with units, and do its parts add up?
#include <catch2/catch.hpp>
#include <regex>
#include <sstream>

#include "reports/text_tables.h"
#include "sample.h"

using namespace spillway;
using namespace spillway::reports;

namespace {

std::string screen(const Report& report, const TextOptions& options = {}) {
  std::ostringstream out;
  write_text(report, options, out);
  return out.str();
}

std::string line_of(const std::string& text, const std::string& label) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  " + label + " ")) return line;
  }
  return "";
}

}  // namespace

TEST_CASE("the header names graph, precision, batch, strategy and NPU", "[reports][text]") {
  const std::string text = screen(test::sample_report());
  CHECK(text.substr(0, text.find('\n')) ==
        "sample/graph (int8, batch 2, layer-by-layer) on edge-8mb @ 1000 MHz, 8 MiB scratchpad");
}

TEST_CASE("latency, bound and utilisation come next, and shares add up to 100 %", "[reports][text]") {
  const std::string text = screen(test::sample_report());
  CHECK(line_of(text, "latency").find("0.001000 ms") != std::string::npos);
  CHECK(line_of(text, "latency").find("1 000 cycles") != std::string::npos);
  const std::string bound = line_of(text, "bound by");
  CHECK(bound.find("60.0 %") != std::string::npos);
  const std::regex share("([0-9.]+) %");
  double sum = 0;
  for (std::sregex_iterator it(bound.begin(), bound.end(), share), end; it != end; ++it) sum += std::stod((*it)[1]);
  CHECK(sum == Approx(100.0).epsilon(1e-12));
  // 64 MACs in 1000 cycles of 4096 cells.
  CHECK(line_of(text, "utilisation").find("0.0 % of 4 096 MACs/cycle") != std::string::npos);
}

TEST_CASE("the rows of the moves table add up", "[reports][text]") {
  std::ostringstream out;
  print_moves(test::sample_profile().result.moves, true, out, 0);
  // weight 32 read; activation 16 + 8 read, 8 + 8 written.
  const std::string text = out.str();
  CHECK(std::regex_search(text, std::regex("weight +32 +32 +32 +0\n")));
  CHECK(std::regex_search(text, std::regex("activation +40 +40 +24 +16\n")));
  CHECK(std::regex_search(text, std::regex("total +72 +72 +56 +16\n")));
  // One row for all but weights and activations where there is no room for more; the total is the same.
  auto moves = test::sample_profile().result.moves;
  for (const auto c : {partitioner::StorageClass::kParameter, partitioner::StorageClass::kStatistics}) {
    moves.read[static_cast<std::size_t>(c)] = 100;
  }
  std::ostringstream brief;
  print_moves(moves, false, brief, 0);
  CHECK(std::regex_search(brief.str(), std::regex("parameters and statistics +200 +0 +200 +0\n")));
  CHECK(std::regex_search(brief.str(), std::regex("total +272 +72 +256 +16\n")));
}

TEST_CASE("energy parts add up on the screen", "[reports][text]") {
  const std::string energy = line_of(screen(test::sample_report()), "energy");
  CHECK(energy.find("100.0 pJ = MAC 1.5 + vector 2.5 + scratchpad 3.0 + accumulators 1.0 + DRAM 12.0 + static 80.0") !=
        std::string::npos);
}

TEST_CASE("every screen says what is modelled and where the reports are", "[reports][text]") {
  const std::string text = screen(test::sample_report(), {.directory = "out/sample"});
  CHECK(text.find("not modelled:") != std::string::npos);
  CHECK(text.find("out/sample/report.json") != std::string::npos);
  CHECK(text.find("graph.{groups,operators,tensors}.csv") != std::string::npos);
}

TEST_CASE("no line of a screen is wider than 120 columns, whatever the names", "[reports][text]") {
  auto report = test::sample_report();
  const std::string name(300, 'n');
  auto& profile = report.graphs[0];
  profile.model = "/" + name + "/unet/model.onnx";
  for (auto& group : profile.plan.groups) group.name = name;
  profile.notes = {
      "dimensions bound by convention: " + std::string("batch=2, channels=4, height=64, width=64, steps=1, ") +
      "sequence=77, num_channels_latent=4, height_latent=64, width_latent=64"};
  report.npu.name = "some-vendor-npu-with-a-name";
  for (const bool detail : {false, true}) {
    std::istringstream lines(screen(report, {.detail = detail, .directory = "out/here"}));
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      CHECK(line.size() <= 120);
    }
  }
}

TEST_CASE("colour only when asked for", "[reports][text]") {
  CHECK(screen(test::sample_report()).find('\033') == std::string::npos);
  CHECK(screen(test::sample_report(), {.colour = true}).find('\033') != std::string::npos);
}

TEST_CASE("the sensitivity table names the knobs", "[reports][text]") {
  auto report = test::sample_report();
  auto& rows = report.graphs[0].sensitivity;
  rows = {{.knob = Knob::kScratchpad,
           .factor = 0.5,
           .setting = "4 MiB",
           .override_ = "scratchpad.size=4MiB",
           .fits = false,
           .why_not = "does not fit; the smallest that would do is 5 MiB"},
          {.knob = Knob::kScratchpad,
           .factor = 2,
           .setting = "16 MiB",
           .override_ = "scratchpad.size=16MiB",
           .fits = true,
           .why_not = "",
           .cycles = 1000},
          {.knob = Knob::kArrays,
           .factor = 2,
           .setting = "2 of 64x64",
           .override_ = "matrix.count=2",
           .fits = true,
           .why_not = "",
           .cycles = 800}};
  const std::string text = screen(report);
  // Halved beside doubled, a row a knob; what was not run says so.
  CHECK(std::regex_search(text, std::regex("SRAM +4 MiB +not run +16 MiB +\\+0.0 %")));
  CHECK(std::regex_search(text, std::regex("arrays +- +2 of 64x64 +-20.0 %")));
  const std::string detail = screen(report, {.detail = true});
  CHECK(std::regex_search(detail, std::regex("SRAM x2 +16 MiB +0.001000 ms +\\+0.0 %")));
  CHECK(detail.find("SRAM x0.5: does not fit; the smallest that would do is 5 MiB") != std::string::npos);
  CHECK(text.find("arrays doubled would help most: 20.0 % less latency   --set matrix.count=2") != std::string::npos);
  CHECK(text.find("stopped helping (doubled: less than 0.5 % gained): SRAM") != std::string::npos);
  CHECK(text.find("SRAM x0.5: does not fit; the smallest that would do is 5 MiB") != std::string::npos);
  CHECK(text.find("-20.0 %") != std::string::npos);
}

TEST_CASE("the pipeline's lines add up to its total", "[reports][text]") {
  auto report = test::sample_report();
  PipelineTotal pipeline{.lines = {}, .steps = 20, .guidance = true, .assumptions = {"something"}};
  pipeline.lines = {{"text_encoder", 2, 1000, {}, 10}, {"unet", 20, 50000, {}, 100}, {"vae_decoder", 1, 30000, {}, 50}};
  report.pipeline = pipeline;
  const std::string text = screen(report);
  // 2 x 1000 + 20 x 50 000 + 30 000 cycles at 1 GHz.
  CHECK(text.find("20 steps, guidance on: 1.032 ms") != std::string::npos);
  CHECK(std::regex_search(text, std::regex("total +1\\.032 ms +1 032 000 +100\\.0 %")));
  CHECK(text.find("  assumes      something") != std::string::npos);
}

TEST_CASE("detail shows every group", "[reports][text]") {
  const std::string text = screen(test::sample_report(), {.detail = true});
  CHECK(text.find("groups in execution order") != std::string::npos);
  CHECK(text.find("matrix commands: ideal 100 + padding 300 + fill and drain 200 = 600 cycles") != std::string::npos);
}

TEST_CASE("an empty graph's screen has no division by zero", "[reports][text]") {
  auto report = test::sample_report();
  report.graphs[0] = GraphProfile{};
  report.graphs[0].model = "empty";
  const std::string text = screen(report, {.detail = true});
  CHECK(text.find("nan") == std::string::npos);
  CHECK(text.find("inf") == std::string::npos);
}
