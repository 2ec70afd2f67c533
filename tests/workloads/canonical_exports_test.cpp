// Real exports in canonical form: what is recognised, that nothing is lost, and that golden outputs still come out.
#include <catch2/catch.hpp>
#include <filesystem>

#include "graph_builder.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

const std::string kShared = std::string(SPILLWAY_SOURCE_DIR) + "/../shared";

bool shared_is_absent() {
  if (std::filesystem::exists(kShared)) return false;
  WARN("skipped: no shared data beside the project");
  return true;
}

std::int64_t matrix_macs(const Graph& graph) {
  std::int64_t macs = 0;
  for (const Node& node : graph.nodes) {
    const OpDef& def = operator_of(node);
    if (def.matrix_shape != nullptr) macs += def.matrix_shape(graph, node, whole(graph.output(node).shape)).macs();
  }
  return macs;
}

/// Every output of every case of a golden model, computed from the canonical graph.
void check_golden(const std::string& model, const ShapeBindings& bindings = {}, const std::string& file = {}) {
  const Graph exported = import_onnx(kShared + "/golden/" + (file.empty() ? model : file) + ".onnx", bindings);
  const Graph graph = canonicalise(exported);
  CHECK(origins_are_a_partition(exported, graph));
  for (const auto& folder : std::filesystem::directory_iterator(kShared + "/golden/" + model)) {
    TensorMap inputs;
    for (const TensorId id : graph.inputs) {
      const std::string& name = graph.tensors[id].name;
      inputs[name] = load_npy(folder.path() / ("in." + name + ".npy"));
      if (inputs[name].shape != graph.tensors[id].shape) return;  // a case of another size
      if (!is_float(graph.tensors[id].type)) inputs[name].type = graph.tensors[id].type;
    }
    const TensorMap found = execute(graph, inputs);
    TensorMap reference;
    for (const auto& [name, tensor] : found) reference[name] = load_npy(folder.path() / ("out." + name + ".npy"));
    INFO(folder.path());
    CHECK(distance(reference, found) <= 2e-5);
  }
}

}  // namespace

TEST_CASE("the U-Net of Stable Diffusion 1.5 in canonical form", "[canonical][shared]") {
  if (shared_is_absent()) return;
  const Graph exported = import_onnx(kShared + "/exports/sd15_unet.onnx");
  const Graph graph = canonicalise(exported);
  auto ops = op_counts(graph);
  CHECK(ops["NormApply"] == 61);
  CHECK(ops["NormStatistics"] == 61 + 12);  // twelve read a Concat of two
  CHECK(ops["LayerNormalization"] == 48);
  CHECK(ops["Silu"] == 47);
  CHECK(ops["Gelu"] == 16);
  CHECK(ops["Conv"] == 98);
  CHECK(ops["MatMul"] == 224 + 24 + 16);  // with the Gemms; gated layers have one for each half
  CHECK(ops["Softmax"] == 32);
  for (const char* gone : {"InstanceNormalization", "Erf", "Sigmoid", "ReduceMean", "Gemm", "Cast", "Div", "Pow",
                           "Sqrt", "Shape", "Constant", "Expand"}) {
    INFO(gone);
    CHECK(ops[gone] == 0);
  }
  CHECK(matrix_macs(graph) == 803273441280);
  CHECK(origins_are_a_partition(exported, graph));
}

TEST_CASE("the text encoder and the VAE of Stable Diffusion 1.5 in canonical form", "[canonical][shared]") {
  if (shared_is_absent()) return;
  struct Expected {
    const char* file;
    std::int64_t macs;
    std::map<std::string, int> ops;
  };
  const std::vector<Expected> all = {
      {"sd15_text_encoder", 6649251840, {{"LayerNormalization", 25}, {"Silu", 12}, {"MatMul", 96}, {"Softmax", 12}}},
      {"sd15_vae_decoder", 1257259466752, {{"NormApply", 30}, {"NormStatistics", 30}, {"Silu", 29}, {"Conv", 36}}},
      {"sd15_vae_encoder_mode", 558329233408, {{"NormApply", 22}, {"Silu", 21}, {"Conv", 28}, {"Pad", 0}}},
      {"sd15_vae_encoder", 558329233408, {{"NormApply", 22}, {"Silu", 21}, {"Conv", 28}, {"Pad", 0}}},
  };
  for (const Expected& expected : all) {
    INFO(expected.file);
    const Graph exported = import_onnx(kShared + "/exports/" + expected.file + ".onnx");
    const Graph graph = canonicalise(exported);
    auto ops = op_counts(graph);
    for (const auto& [op, count] : expected.ops) {
      INFO(op);
      CHECK(ops[op] == count);
    }
    CHECK(matrix_macs(graph) == expected.macs);
    CHECK(origins_are_a_partition(exported, graph));
  }
}

TEST_CASE("dynamic exports, once bound, have the static ones' canonical form", "[canonical][shared]") {
  if (shared_is_absent()) return;
  const Graph fixed = canonicalise(import_onnx(kShared + "/exports/sd15_unet.onnx"));
  ShapeBindings bindings;
  bindings.inputs = {{"sample", {2, 4, 64, 64}}, {"timestep", {2}}, {"encoder_hidden_states", {2, 77, 768}}};
  const Graph bound = canonicalise(import_onnx(kShared + "/exports/sd15_unet_dyn.onnx", bindings));
  auto a = op_counts(fixed);
  auto b = op_counts(bound);
  for (const char* op : {"NormApply", "NormStatistics", "LayerNormalization", "Silu", "Gelu", "Conv", "MatMul",
                         "Softmax", "Add", "Mul", "Resize"}) {
    INFO(op);
    CHECK(a[op] == b[op]);
  }
  CHECK(matrix_macs(bound) == matrix_macs(fixed));
}

TEST_CASE("canonical graphs reproduce the golden outputs", "[canonical][shared]") {
  if (shared_is_absent()) return;
  check_golden("tiny_text_encoder");
  check_golden("tiny_unet");
  check_golden("tiny_vae_encoder_mode");
  check_golden("tiny_vae_decoder");
}
