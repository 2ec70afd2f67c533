// The CLI's own rules, without the binary.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>

#include "cli/functional.h"
#include "cli/options.h"
#include "cli/sampler.h"
#include "cli/sensitivity.h"
#include "cli/target.h"

using namespace spillway;
using namespace spillway::cli;

TEST_CASE("the --shape flag binds inputs, dimensions, and one graph of a folder", "[cli][units]") {
  const ShapeFlag whole = parse_shape("sample:2x4x64x64");
  CHECK(whole.whole);
  CHECK(whole.name == "sample");
  CHECK(whole.shape == workloads::Shape{2, 4, 64, 64});
  const ShapeFlag dim = parse_shape("unet/batch=2");
  CHECK_FALSE(dim.whole);
  CHECK(dim.part == "unet");
  CHECK(dim.name == "batch");
  CHECK(dim.shape == workloads::Shape{2});
  // Names as exporters make them.
  CHECK(parse_shape("onnx::Add_1:3").name == "onnx::Add_1");
  CHECK(parse_shape("/x/y:0:7x1").name == "/x/y:0");
}

TEST_CASE("overrides apply in order, the flags after --set", "[cli][units]") {
  NpuFlags flags;
  flags.sets = {"scratchpad.size=1MiB", "matrix.count=2"};
  CHECK(flags.load().scratchpad.size == 1 << 20);
  flags.sram = "2MiB";
  flags.precision = "fp16";
  const auto npu = flags.load({"matrix.count=4"});
  CHECK(npu.scratchpad.size == 2 << 20);
  CHECK(npu.matrix.count == 4);
  CHECK(npu.precision == configs::uniform_precision("fp16"));
}

TEST_CASE("knobs turn by half and double", "[cli][units]") {
  NpuFlags flags;
  const auto npu = flags.load();
  const auto turned = [&](reports::Knob knob, double factor) {
    const Turn t = turn(npu, knob, factor);
    REQUIRE(t.why_not.empty());
    return flags.load({t.override_});
  };
  using reports::Knob;
  CHECK(turned(Knob::kScratchpad, 0.5).scratchpad.size == 4 << 20);
  CHECK(turned(Knob::kScratchpad, 2).scratchpad.size == 16 << 20);
  CHECK(turned(Knob::kDramBandwidth, 0.5).dram.peak_bytes_per_second() == Approx(25.6e9));
  CHECK(turned(Knob::kDramBandwidth, 2).dram.peak_bytes_per_second() == Approx(102.4e9));
  // One array: half of it has half the columns.
  CHECK(turned(Knob::kArrays, 0.5).matrix.cols == 32);
  CHECK(turned(Knob::kArrays, 2).matrix.count == 2);
  CHECK(turned(Knob::kVectorLanes, 0.5).vector.lanes == 128);
  CHECK(turned(Knob::kVectorLanes, 2).vector.lanes == 512);
}

TEST_CASE("a knob that cannot be halved says so", "[cli][units]") {
  NpuFlags flags;
  auto npu = flags.load();
  npu.vector.lanes = 1;
  CHECK(turn(npu, reports::Knob::kVectorLanes, 0.5).why_not == "1 lanes cannot be halved");
  npu.matrix.count = 3;
  CHECK_FALSE(turn(npu, reports::Knob::kArrays, 0.5).why_not.empty());
}

TEST_CASE("the sampler step computes a DDIM step with guidance", "[cli][units]") {
  const workloads::Shape shape{1, 2, 2, 1};
  workloads::HostTensor x, u, c;
  for (auto* t : {&x, &u, &c}) t->shape = shape;
  x.data = std::vector<float>{1, 2, 3, 4};
  u.data = std::vector<float>{0.5F, 0, -1, 2};
  c.data = std::vector<float>{1, 0, 0, 2};
  const auto graph = sampler_step(shape, true);
  const auto out = workloads::execute(graph, {{"latent", x}, {"noise_unconditional", u}, {"noise_conditional", c}})
                       .at("next_latent");
  REQUIRE(out.shape == workloads::Shape{2, 2, 2, 1});
  for (int i = 0; i < 4; ++i) {
    const double e = u.floats()[i] + 7.5 * (c.floats()[i] - u.floats()[i]);
    const double expected = 1.01 * x.floats()[i] - 0.1 * e;
    CHECK(out.floats()[i] == Approx(expected));
    CHECK(out.floats()[i + 4] == Approx(expected));
  }
  CHECK(workloads::canonicalise(graph).outputs.size() == 1);
  CHECK(sampler_step(shape, false).inputs.size() == 2);
}

TEST_CASE("comparison with the reference", "[cli][units]") {
  workloads::HostTensor a, b;
  a.shape = b.shape = {3};
  a.data = std::vector<float>{1, 2, 4.0001F};
  b.data = std::vector<float>{1, 2, 4};
  auto d = differences_of({{"y", a}}, {{"y", b}});
  REQUIRE(d.size() == 1);
  CHECK(d[0].largest_error == Approx(1e-4).epsilon(0.01));
  CHECK(d[0].relative_to_largest == Approx(2.5e-5).epsilon(0.01));
  CHECK_FALSE(d[0].ok());
  CHECK(differences_of({{"y", b}}, {{"y", b}})[0].ok());
  a.floats()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(differences_of({{"y", a}}, {{"y", b}})[0].ok());
  CHECK_THROWS_AS(differences_of({}, {{"y", b}}), Error);
}

TEST_CASE("targets", "[cli][units]") {
  CHECK(resolve_target("sd15").graphs.size() == 4);
  CHECK(resolve_target("sdxl").graphs.size() == 5);
  const Target one = resolve_target("sd15/unet");
  CHECK(one.graphs.size() == 1);
  CHECK(one.name == "sd15_unet");
  CHECK_FALSE(one.several);
  CHECK_THROWS_AS(resolve_target(""), Error);
  CHECK_THROWS_AS(resolve_target(std::string(100000, 'x')), Error);
}

TEST_CASE("a dynamic export in a folder is bound by convention and says so", "[cli][units]") {
  const std::string exports = SPILLWAY_SOURCE_DIR "/../shared/exports";
  std::error_code error;
  if (!std::filesystem::exists(exports, error)) {
    WARN("skipped: no ../shared/exports");
    return;
  }
  const auto folder = std::filesystem::temp_directory_path() / ("spillway_dyn_" + std::to_string(::getpid()));
  for (const char* part : {"text_encoder", "unet", "vae_encoder", "vae_decoder"}) {
    std::filesystem::create_directories(folder / part);
    std::filesystem::copy_file(exports + "/sd15_" + part + "_dyn.onnx", folder / part / "model.onnx");
  }
  const Target target = resolve_target(folder.string());
  const auto guided = load_graphs(target, {}, true);
  const auto plain = load_graphs(target, {}, false);
  std::filesystem::remove_all(folder);
  REQUIRE(guided.size() == 4);
  const auto first_input = [](const LoadedGraph& g) { return g.graph.tensors[g.graph.inputs.front()].shape; };
  CHECK(first_input(guided[0]) == workloads::Shape{1, 77});
  CHECK(first_input(guided[1]) == workloads::Shape{2, 4, 64, 64});
  CHECK(first_input(plain[1]) == workloads::Shape{1, 4, 64, 64});
  CHECK(first_input(guided[2]) == workloads::Shape{1, 3, 512, 512});
  CHECK(first_input(guided[3]) == workloads::Shape{1, 4, 64, 64});
  REQUIRE(guided[1].notes.size() == 1);
  CHECK(guided[1].notes[0].find("batch=2") != std::string::npos);
  for (const auto& graph : guided) {
    for (const auto& warning : graph.graph.warnings) CHECK(warning.find("binds nothing") == std::string::npos);
  }
}
