// Do the counts equal those worked out by hand, and those that another tool found in the real exports?
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using spillway::workloads::test::ModelMaker;
using Counts = std::map<std::string, std::int64_t>;

namespace {

bool exports_absent() {
  if (std::filesystem::exists(test::kShared + "/exports")) return false;
  WARN("skipped: " + test::kShared + "/exports is absent");
  return true;
}

nlohmann::json figures_of(const std::string& name) {
  std::ifstream file(test::kShared + "/exports/" + name + ".json");
  return nlohmann::json::parse(file);
}

Graph load_export(const std::string& name, const ShapeBindings& bindings = {}) {
  return import_onnx(test::kShared + "/exports/" + name + ".onnx", bindings);
}

void check_static_export(const std::string& name) {
  if (exports_absent()) return;
  const auto expected = figures_of(name);
  const auto graph = load_export(name);
  const auto found = statistics_of(graph);
  CHECK(found.nodes == expected["nodes"].get<std::int64_t>());
  CHECK(found.nodes_without_constant == expected["nodes_without_Constant"].get<std::int64_t>());
  CHECK(found.ops == expected["ops"].get<Counts>());
  CHECK(found.parameters == expected["params_total"].get<std::int64_t>());
  CHECK(found.parameters_weights_only == expected["params_weights_only"].get<std::int64_t>());
  CHECK(found.macs == expected["macs_detail"].get<Counts>());
  CHECK(found.macs_total == expected["macs_total"].get<std::int64_t>());
  CHECK(found.output_elements == expected["out_elements_by_op"].get<Counts>());
  REQUIRE(found.largest.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto& largest = expected["largest_5"][i];
    CHECK(found.largest[i].name == largest["name"].get<std::string>());
    CHECK(found.largest[i].op == largest["op"].get<std::string>());
    CHECK(found.largest[i].shape == largest["shape"].get<Shape>());
    CHECK(found.largest[i].elements == largest["elements"].get<std::int64_t>());
  }
  REQUIRE(graph.warnings.size() == 1);
  CHECK_THAT(graph.warnings[0], Catch::Contains("'weights.bin' is absent"));
}

/// Bound to the static export's shapes, a dynamic export computes the same.
void check_dynamic_export(const std::string& name, const ShapeBindings& bindings, const std::string& static_name) {
  if (exports_absent()) return;
  const auto expected = figures_of(name);
  const auto graph = load_export(name, bindings);
  const auto found = statistics_of(graph);
  CHECK(found.nodes == expected["nodes"].get<std::int64_t>());
  CHECK(found.nodes_without_constant == expected["nodes_without_Constant"].get<std::int64_t>());
  CHECK(found.ops == expected["ops"].get<Counts>());
  const auto fixed = figures_of(static_name);
  CHECK(found.macs == fixed["macs_detail"].get<Counts>());
  CHECK(found.parameters == fixed["params_total"].get<std::int64_t>());
  // Shape arithmetic is gone: what is left to execute has floating-point results, or integer ones from token ids.
  for (const auto& node : graph.nodes) {
    for (const auto* shape_op : {"Shape", "Range", "ConstantOfShape", "Equal", "Where", "Expand", "Unsqueeze"}) {
      if (node.op == shape_op && graph.output(node).type == DataType::kInt64) CHECK(node.folded);
    }
  }
}

}  // namespace

TEST_CASE("text encoder: counts equal the figures beside the export", "[statistics][exports]") {
  check_static_export("sd15_text_encoder");
}
TEST_CASE("U-Net: counts equal the figures beside the export", "[statistics][exports]") {
  check_static_export("sd15_unet");
}
TEST_CASE("VAE encoder: counts equal the figures beside the export", "[statistics][exports]") {
  check_static_export("sd15_vae_encoder");
}
TEST_CASE("VAE encoder, deterministic: counts equal the figures beside the export", "[statistics][exports]") {
  check_static_export("sd15_vae_encoder_mode");
}
TEST_CASE("VAE decoder: counts equal the figures beside the export", "[statistics][exports]") {
  check_static_export("sd15_vae_decoder");
}

TEST_CASE("text encoder with dynamic axes", "[statistics][exports]") {
  check_dynamic_export("sd15_text_encoder_dyn", {.dims = {{"batch", 1}, {"sequence", 77}}}, "sd15_text_encoder");
}
TEST_CASE("U-Net with dynamic axes", "[statistics][exports]") {
  check_dynamic_export("sd15_unet_dyn", {.dims = {{"sequence", 77}}, .inputs = {{"sample", {2, 4, 64, 64}}}},
                       "sd15_unet");
}
TEST_CASE("VAE encoder with dynamic axes", "[statistics][exports]") {
  check_dynamic_export("sd15_vae_encoder_dyn", {.inputs = {{"sample", {1, 3, 512, 512}}}}, "sd15_vae_encoder");
}
TEST_CASE("VAE decoder with dynamic axes", "[statistics][exports]") {
  check_dynamic_export("sd15_vae_decoder_dyn", {.dims = {{"batch", 1}, {"channels", 4}, {"height", 64}, {"width", 64}}},
                       "sd15_vae_decoder");
}

TEST_CASE("dynamic exports load at other sizes than they were traced at", "[statistics][exports]") {
  if (exports_absent()) return;
  const auto unet = load_export("sd15_unet_dyn", {.dims = {{"sequence", 154}}, .inputs = {{"sample", {1, 4, 96, 64}}}});
  CHECK(unet.tensors[unet.outputs[0]].shape == Shape{1, 4, 96, 64});
  const auto decoder = load_export("sd15_vae_decoder_dyn", {.inputs = {{"latent_sample", {3, 4, 32, 48}}}});
  CHECK(decoder.tensors[decoder.outputs[0]].shape == Shape{3, 3, 256, 384});
  const auto text = load_export("sd15_text_encoder_dyn", {.inputs = {{"input_ids", {4, 20}}}});
  CHECK(text.tensors[text.outputs[0]].shape == Shape{4, 20, 768});
}

TEST_CASE("a dynamic export unbound says what to bind", "[statistics][exports][errors]") {
  if (exports_absent()) return;
  const auto error = test::error_of([] { (void)load_export("sd15_unet_dyn"); });
  CHECK_THAT(error.what(),
             Catch::Contains("'batch'") && Catch::Contains("'channels'") && Catch::Contains("'sequence'"));
  CHECK_THAT(error.help(), Catch::Contains("--shape sample:1x1x64x64"));
}

TEST_CASE("a small graph, counted by hand", "[statistics]") {
  ModelMaker maker;
  maker.input("x", {2, 8, 10, 10});
  maker.initializer<float>("w", {16, 4, 3, 3}, std::vector<float>(576));
  maker.initializer<float>("b", {16}, std::vector<float>(16));
  maker.initializer<float>("scale", {16, 1, 1}, std::vector<float>(16));
  maker.initializer<std::int64_t>("target", {3}, {2, 16, 64});
  maker.initializer<float>("p", {64, 32}, std::vector<float>(2048));
  auto& group = *maker.node("Conv", {"x", "w", "b"}, {"c"}).add_attribute();
  group.set_name("group");
  group.set_type(onnx::AttributeProto::INT);
  group.set_i(2);
  maker.node("Mul", {"c", "scale"}, {"s"});
  maker.node("Reshape", {"s", "target"}, {"r"});
  maker.node("MatMul", {"r", "p"}, {"m"});
  maker.constant_node<float>("half", {}, {0.5F});
  maker.node("Mul", {"m", "half"}, {"y"});
  maker.output("y");
  const auto found = statistics_of(maker.load());
  CHECK(found.nodes == 6);
  CHECK(found.nodes_without_constant == 5);
  CHECK(found.ops == Counts{{"Constant", 1}, {"Conv", 1}, {"MatMul", 1}, {"Mul", 2}, {"Reshape", 1}});
  CHECK(found.parameters == 576 + 16 + 16 + 2048);  // the int64 initializer is none, the Constant neither
  CHECK(found.parameters_weights_only == 576 + 2048);
  // Output 2 x 16 x 8 x 8, each of 4 input channels and 3 x 3 taps; then 2 x 16 rows of 64 into 32 columns.
  CHECK(found.macs == Counts{{"Conv_3x3", 2 * 16 * 8 * 8 * 4 * 9}, {"MatMul_weight", 2 * 16 * 64 * 32}});
  CHECK(found.macs_total == 73728 + 65536);
  CHECK(found.output_elements == Counts{{"Conv", 2048}, {"MatMul", 1024}, {"Mul", 2048 + 1024}, {"Reshape", 2048}});
  REQUIRE(found.largest.size() == 4);
  CHECK(found.largest[0].name == "c");  // ties in node order
  CHECK(found.largest[1].name == "s");
  CHECK(found.largest[2].name == "m");  // "r" is "s" in another shape
}
