// Feeds models to the importer: any bytes may be refused with an Error(kBadInput), none may do anything else.
//
// Bytes alone rarely get past protobuf, so half of the mutations work on the parsed model: nodes of every operator of
// the table with odd inputs and attributes, odd dimensions, odd constants.
#include <onnx/onnx_pb.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "configs/error.h"
#include "workloads/operators/operators.h"
#include "workloads/workloads.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace spillway;
using Random = std::minstd_rand;

std::size_t below(Random& random, std::size_t count) { return count == 0 ? 0 : random() % count; }

std::int64_t odd_integer(Random& random) {
  constexpr std::array<std::int64_t, 24> kOdd{0,
                                              1,
                                              1,
                                              1,
                                              2,
                                              2,
                                              3,
                                              4,
                                              5,
                                              7,
                                              8,
                                              16,
                                              64,
                                              -1,
                                              -2,
                                              -3,
                                              1 << 10,
                                              1 << 20,
                                              std::int64_t{1} << 31,
                                              (std::int64_t{1} << 31) - 1,
                                              std::int64_t{1} << 40,
                                              std::int64_t{1} << 62,
                                              std::numeric_limits<std::int64_t>::max(),
                                              std::numeric_limits<std::int64_t>::min()};
  // Mostly small, or no shape would ever fit another.
  return below(random, 4) != 0 ? kOdd[below(random, 12)] : kOdd[below(random, kOdd.size())];
}

float odd_float(Random& random) {
  constexpr std::array<float, 9> kOdd{0.0F,
                                      1.0F,
                                      -1.0F,
                                      0.5F,
                                      2.0F,
                                      1e30F,
                                      1e-30F,
                                      std::numeric_limits<float>::infinity(),
                                      std::numeric_limits<float>::quiet_NaN()};
  return kOdd[below(random, kOdd.size())];
}

void fill(onnx::TensorProto& tensor, Random& random) {
  const auto name = tensor.name();
  tensor.Clear();
  tensor.set_name(name);
  std::int64_t count = 1;
  const auto rank = below(random, 5);
  for (std::size_t d = 0; d < rank; ++d) {
    tensor.add_dims(static_cast<std::int64_t>(below(random, 5)));
    count *= tensor.dims(static_cast<int>(d));
  }
  if (below(random, 2) != 0) {
    tensor.set_data_type(onnx::TensorProto::INT64);
    for (std::int64_t i = 0; i < count; ++i) tensor.add_int64_data(odd_integer(random));
  } else {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (std::int64_t i = 0; i < count; ++i) tensor.add_float_data(odd_float(random));
  }
}

void add_attribute(onnx::NodeProto& node, Random& random) {
  constexpr std::array<const char*, 40> kNames{"axis",         "axes",
                                               "perm",         "to",
                                               "group",        "pads",
                                               "strides",      "dilations",
                                               "kernel_shape", "transA",
                                               "transB",       "alpha",
                                               "beta",         "epsilon",
                                               "keepdims",     "allowzero",
                                               "value",        "mode",
                                               "auto_pad",     "start",
                                               "end",          "starts",
                                               "ends",         "split",
                                               "num_outputs",  "ceil_mode",
                                               "upper",        "k",
                                               "shape",        "dtype",
                                               "min",          "max",
                                               "blocksize",    "output_padding",
                                               "output_shape", "select_last_index",
                                               "largest",      "count_include_pad",
                                               "scales",       "coordinate_transformation_mode"};
  constexpr std::array<const char*, 14> kWords{"constant", "reflect",       "edge",       "nearest", "linear",
                                               "cubic",    "SAME_UPPER",    "SAME_LOWER", "VALID",   "asymmetric",
                                               "floor",    "align_corners", "DCR",        "tanh"};
  auto& attribute = *node.add_attribute();
  attribute.set_name(kNames[below(random, kNames.size())]);
  switch (below(random, 5)) {
    case 0:
    case 1:
      attribute.set_type(onnx::AttributeProto::INT);
      attribute.set_i(odd_integer(random));
      break;
    case 2:
      attribute.set_type(onnx::AttributeProto::INTS);
      for (std::size_t n = below(random, 6); n > 0; --n) attribute.add_ints(odd_integer(random));
      break;
    case 3:
      attribute.set_type(onnx::AttributeProto::STRING);
      attribute.set_s(kWords[below(random, kWords.size())]);
      break;
    default:
      if (below(random, 2) != 0) {
        attribute.set_type(onnx::AttributeProto::FLOAT);
        attribute.set_f(odd_float(random));
      } else {
        attribute.set_type(onnx::AttributeProto::TENSOR);
        fill(*attribute.mutable_t(), random);
      }
  }
}

std::vector<std::string> tensor_names(const onnx::GraphProto& graph) {
  std::vector<std::string> names{""};
  for (const auto& input : graph.input()) names.push_back(input.name());
  for (const auto& initializer : graph.initializer()) names.push_back(initializer.name());
  for (const auto& node : graph.node()) names.insert(names.end(), node.output().begin(), node.output().end());
  return names;
}

void add_node(onnx::GraphProto& graph, Random& random) {
  const auto names = tensor_names(graph);
  const auto table = workloads::operator_table();
  auto& node = *graph.add_node();
  node.set_op_type(std::string(table[below(random, table.size())].name));
  for (std::size_t n = below(random, 5); n > 0; --n) node.add_input(names[below(random, names.size())]);
  const auto outputs = below(random, 8) == 0 ? 2 : 1;
  for (int i = 0; i < outputs; ++i) node.add_output("n" + std::to_string(graph.node_size()) + "_" + std::to_string(i));
  for (std::size_t n = below(random, 4); n > 0; --n) add_attribute(node, random);
}

void add_input(onnx::GraphProto& graph, Random& random) {
  auto& input = *graph.add_input();
  input.set_name("i" + std::to_string(graph.input_size()));
  auto& tensor = *input.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(below(random, 4) == 0 ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
  tensor.mutable_shape();
  for (std::size_t n = below(random, 6); n > 0; --n)
    tensor.mutable_shape()->add_dim()->set_dim_value(odd_integer(random));
}

template <typename Field>
void remove_one(Field& field, Random& random) {
  if (!field.empty()) field.DeleteSubrange(static_cast<int>(below(random, field.size())), 1);
}

void mutate(onnx::ModelProto& model, Random& random) {
  auto& graph = *model.mutable_graph();
  if (model.opset_import_size() == 0) model.add_opset_import()->set_version(14);
  const auto node = [&]() -> onnx::NodeProto& {
    return *graph.mutable_node(static_cast<int>(below(random, graph.node_size())));
  };
  switch (below(random, 14)) {
    case 0:
    case 1:
    case 2:
    case 3:
      add_node(graph, random);
      break;
    case 4:
      add_input(graph, random);
      break;
    case 5: {
      auto& initializer = *graph.add_initializer();
      initializer.set_name("c" + std::to_string(graph.initializer_size()));
      fill(initializer, random);
      break;
    }
    case 6:
      if (graph.node_size() > 0) {
        const auto names = tensor_names(graph);
        auto& changed = node();
        if (changed.input_size() > 0)
          changed.set_input(static_cast<int>(below(random, changed.input_size())), names[below(random, names.size())]);
      }
      break;
    case 7:
      if (graph.node_size() > 0) add_attribute(node(), random);
      break;
    case 8:
      if (graph.node_size() > 0) remove_one(*node().mutable_attribute(), random);
      break;
    case 9:
      if (graph.initializer_size() > 0)
        fill(*graph.mutable_initializer(static_cast<int>(below(random, graph.initializer_size()))), random);
      break;
    case 10:
      if (graph.input_size() > 0) {
        auto& shape = *graph.mutable_input(static_cast<int>(below(random, graph.input_size())))
                           ->mutable_type()
                           ->mutable_tensor_type()
                           ->mutable_shape();
        if (shape.dim_size() > 0)
          shape.mutable_dim(static_cast<int>(below(random, shape.dim_size())))->set_dim_value(odd_integer(random));
      }
      break;
    case 11:
      remove_one(*graph.mutable_node(), random);
      break;
    case 12:
      remove_one(*graph.mutable_input(), random);
      break;
    default:
      model.mutable_opset_import(0)->set_version(7 + static_cast<std::int64_t>(below(random, 14)));
      break;
  }
  graph.clear_output();
  if (graph.node_size() > 0 && graph.node(graph.node_size() - 1).output_size() > 0) {
    graph.add_output()->set_name(graph.node(graph.node_size() - 1).output(0));
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  Random random(seed);
  if (below(random, 4) == 0) return LLVMFuzzerMutate(data, size, max_size);
  onnx::ModelProto model;
  if (!model.ParseFromArray(data, static_cast<int>(size))) model.Clear();
  for (std::size_t n = 1 + below(random, 3); n > 0; --n) mutate(model, random);
  const auto bytes = model.SerializeAsString();
  if (bytes.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto graph = workloads::import_onnx_bytes({reinterpret_cast<const char*>(data), size}, "fuzz.onnx", "");
    (void)workloads::statistics_of(graph);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadInput) {
      std::fprintf(stderr, "%s\n", error.what());
      std::abort();
    }
  }
  return 0;
}
