// What must hold of every number format on every graph, strategy and budget: random graphs operator by operator, and
// the zoo's smallest networks as wholes.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "simulator/simulator.h"
#include "tests/workloads/graph_builder.h"
#include "workloads/number_formats.h"
#include "workloads/quantiser.h"

namespace spillway::simulator::test {

namespace {

using partitioner::Strategy;
using workloads::Calibration;
using workloads::Graph;
using workloads::HostTensor;
using workloads::kNone;
using workloads::Node;
using workloads::Range;
using workloads::TensorId;
using workloads::TensorMap;
using Ints = std::vector<std::int64_t>;

struct Precision {
  const char* name;
  int bits;               ///< of integer activations; 0: floats
  int mantissa;           ///< of float activations
  double smallest;        ///< of float activations: the distance of subnormal numbers
  double vector_epsilon;  ///< half the distance of numbers near 1 in the vector engine
};
constexpr double kHalf = 0x1p-11, kSingle = 0x1p-24;
const std::vector<Precision> kPrecisions{{"int8", 8, 0, 0, kHalf},          {"w8a16", 16, 0, 0, kSingle},
                                         {"int16", 16, 0, 0, kSingle},      {"fp16", 0, 10, 0x1p-24, kHalf},
                                         {"bf16", 0, 7, 0x1p-133, kSingle}, {"fp8e4m3", 0, 3, 0x1p-9, kHalf},
                                         {"fp8e5m2", 0, 2, 0x1p-16, kHalf}};

configs::NpuConfig npu_in(const std::string& precision, Bytes scratchpad = 8 << 20) {
  return configs::load_config("edge-8mb",
                              {"precision=" + precision, "scratchpad.size=" + std::to_string(scratchpad) + "B"});
}

TensorMap run(const Graph& graph, const configs::NpuConfig& npu, Strategy strategy, const TensorMap& inputs,
              const Calibration& calibration) {
  auto planned = partitioner::partition(graph, npu, {.strategy = strategy});
  REQUIRE(std::holds_alternative<partitioner::Plan>(planned));
  const auto program = partitioner::lower(graph, npu, std::get<partitioner::Plan>(planned));
  const auto violations = partitioner::check(program, 3);
  for (const auto& violation : violations) UNSCOPED_INFO(violation.what);
  REQUIRE(violations.empty());
  return simulate_functional(program, npu, inputs, {.calibration = &calibration}).outputs;
}

/// Convolutions of all kinds, products, pools, norms over rows, branches that meet again: sizes that tiles do not
/// divide.
Graph random_graph(std::mt19937& random) {
  workloads::test::GraphBuilder b;
  const auto any = [&](int least, int most) {
    return static_cast<std::int64_t>(least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1)));
  };
  std::vector<TensorId> made{b.input("x", {any(1, 2), any(3, 20), any(5, 13), any(5, 13)})};
  const auto channels = [&](TensorId t) { return b.shape(t)[1]; };
  // Sums of `terms` products stay as large as their inputs: formats differ in what they do with numbers too large.
  std::uint64_t seed = 1;
  const auto weights = [&](workloads::Shape shape, std::int64_t terms) {
    HostTensor value = workloads::random_tensor(workloads::DataType::kFloat32, shape, seed++);
    for (float& v : value.floats()) v /= std::sqrt(static_cast<float>(terms));
    return b.constant(std::move(value));
  };
  const int layers = static_cast<int>(any(5, 9));
  for (int i = 0; i < layers; ++i) {
    const TensorId x = made[made.size() - 1 - random() % std::min<std::size_t>(2, made.size())];
    switch (random() % 9) {
      case 0:
      case 1: {
        const auto kernel = any(1, 3), dilation = any(1, 2);
        const auto pad = kernel / 2 * dilation;
        const bool small = b.shape(x)[2] < 5 || b.shape(x)[3] < 5;
        const auto stride = small ? 1 : any(1, 2);
        const auto out = any(2, 24);
        made.push_back(b.op(
            "Conv", {x, weights({out, channels(x), kernel, kernel}, channels(x) * kernel * kernel), weights({out}, 4)},
            {{"pads", Ints{pad, pad, pad, pad}},
             {"strides", Ints{stride, stride}},
             {"dilations", Ints{dilation, dilation}}}));
        break;
      }
      case 2:  // each channel by itself
        made.push_back(b.op("Conv", {x, weights({channels(x), 1, 3, 3}, 9)},
                            {{"group", channels(x)}, {"pads", Ints{1, 1, 1, 1}}}));
        break;
      case 3:
        made.push_back(b.op(random() % 2 == 0 ? "Relu" : "Sigmoid", {x}));
        break;
      case 4:
        made.push_back(b.op("Add", {x, b.op("Tanh", {x})}));
        break;
      case 5:
        made.push_back(b.op("Concat", {x, b.op("Relu", {x})}, {{"axis", std::int64_t{1}}}));
        break;
      case 6:
        made.push_back(b.op(random() % 2 == 0 ? "MaxPool" : "AveragePool", {x},
                            {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{1, 1}}}));
        break;
      case 7: {  // tokens: a product with weights, one of two activations, rows that add up to one
        const auto n = b.shape(x)[0], c = channels(x), pixels = b.shape(x)[2] * b.shape(x)[3];
        const auto rows = b.op("Transpose", {b.op("Reshape", {x, b.constant(workloads::test::list({n, c, pixels}))})},
                               {{"perm", Ints{0, 2, 1}}});
        const auto keys = b.op("MatMul", {rows, weights({c, c}, c * c)});
        const auto scores = b.op("MatMul", {rows, b.op("Transpose", {keys}, {{"perm", Ints{0, 2, 1}}})});
        const auto mixed = b.op("MatMul", {b.op("Softmax", {scores}, {{"axis", std::int64_t{-1}}}), rows});
        made.push_back(b.op("Reshape", {b.op("Transpose", {mixed}, {{"perm", Ints{0, 2, 1}}}),
                                        b.constant(workloads::test::list({n, c, b.shape(x)[2], b.shape(x)[3]}))}));
        break;
      }
      default:
        made.push_back(b.op("Mul", {x, b.op("Sigmoid", {x})}));
    }
  }
  return workloads::canonicalise(b.finish({made.back()}));
}

/// Every tensor that an operator makes becomes an output, so that what is stored can be seen.
Graph with_all_outputs(Graph graph) {
  graph.outputs.clear();
  for (const Node& node : graph.nodes) graph.outputs.push_back(node.outputs[0]);
  workloads::connect(graph);
  return graph;
}

/// Ranges of tensors that may lie in the same bytes are one.
std::map<TensorId, Range> shared_ranges(const Graph& graph, const Calibration& calibration) {
  std::vector<TensorId> leader(graph.tensors.size());
  std::iota(leader.begin(), leader.end(), 0);
  const std::function<TensorId(TensorId)> find = [&](TensorId t) { return leader[t] == t ? t : find(leader[t]); };
  for (const Node& node : graph.nodes) {
    const bool moves = node.op == "Concat" || workloads::operator_of(node).op_class == workloads::OpClass::kView;
    for (std::size_t i = 0; moves && i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone || graph.tensors[node.inputs[i]].is_constant()) continue;
      leader[find(node.inputs[i])] = find(node.outputs[0]);
    }
  }
  std::map<TensorId, Range> of_leader, result;
  for (TensorId t = 0; t < static_cast<TensorId>(leader.size()); ++t) {
    const auto known = calibration.ranges.find(graph.tensors[t].name);
    if (known == calibration.ranges.end()) continue;
    Range& range = of_leader[find(t)];
    range = {std::min(range.low, known->second.low), std::max(range.high, known->second.high)};
  }
  for (TensorId t = 0; t < static_cast<TensorId>(leader.size()); ++t) result[t] = of_leader[find(t)];
  return result;
}

float as_float_format(const Precision& precision, float v) {
  using namespace workloads;
  if (precision.mantissa == 10) return float_from_half(half_from_float(v));
  if (precision.mantissa == 7) return float_from_bfloat16(bfloat16_from_float(v));
  const Float8 format = precision.mantissa == 3 ? kE4M3 : kE5M2;
  return float_from_float8(format, float8_from_float(format, v));
}

/// The weights of a product as the NPU has them: of integers, each output channel on a symmetric grid of its own.
HostTensor stored_weights(const Precision& precision, const Node& node, HostTensor weights) {
  auto& values = weights.floats();
  if (precision.bits == 0) {
    for (float& v : values) v = as_float_format(precision, v);
    return weights;
  }
  const int most = precision.bits == 16 && std::string(precision.name) == "int16" ? 32767 : 127;
  const bool columns = node.op == "MatMul" && node.integer("transB", 0) == 0;
  const auto channels = static_cast<std::size_t>(columns ? weights.shape.back() : weights.shape[0]);
  const auto channel_of = [&](std::size_t i) { return columns ? i % channels : i / (values.size() / channels); };
  std::vector<float> largest(channels, 0);
  for (std::size_t i = 0; i < values.size(); ++i)
    largest[channel_of(i)] = std::max(largest[channel_of(i)], std::abs(values[i]));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = largest[channel_of(i)] / static_cast<float>(most);
    values[i] = std::nearbyint(values[i] / scale) * scale;
  }
  return weights;
}

/// What the node makes of stored inputs, in the reference executor.
HostTensor reference_of(const Graph& graph, const Node& node, const Precision& precision, const TensorMap& stored) {
  Graph one = graph;
  one.nodes = {node};
  one.inputs.clear();
  one.outputs = {node.outputs[0]};
  TensorMap inputs;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorId id = node.inputs[i];
    if (id == kNone) continue;
    workloads::Tensor& tensor = one.tensors[id];
    if (!tensor.is_constant()) {
      if (inputs.emplace(tensor.name, stored.at(tensor.name)).second) one.inputs.push_back(id);
    } else if (i == 1 && workloads::operator_of(node).op_class == workloads::OpClass::kMatrix) {
      tensor.constant = workloads::Constant{std::make_shared<const HostTensor>(
          stored_weights(precision, node, workloads::materialise(graph.tensors[id])))};
    }
  }
  workloads::connect(one);
  return workloads::execute(one, inputs, {}, {.double_sums = true}).at(one.tensors[node.outputs[0]].name);
}

/// Elements of the tensor that are further from `wanted` than one rounding to the vector engine's format and one to the
/// storage's explain. Integers saturate.
int strange_elements(const Precision& precision, const Range& range, bool symmetric, const HostTensor& wanted,
                     const HostTensor& found) {
  double step = 0, low = -1e30, high = 1e30;
  if (precision.bits > 0) {
    const auto grid = symmetric ? workloads::symmetric_quantiser(range, precision.bits)
                                : workloads::asymmetric_quantiser(range, precision.bits);
    step = grid.scale;
    low = grid.decode(grid.low);
    high = grid.decode(grid.high);
  }
  double largest = 0;
  for (const float w : wanted.floats()) largest = std::max<double>(largest, std::abs(w));
  int strange = 0;
  for (std::size_t i = 0; i < wanted.floats().size(); ++i) {
    const double w = std::clamp<double>(wanted.floats()[i], low, high);
    // Half the distance of neighbours in the storage and in the vector engine, and sums in fp32.
    const double distance =
        precision.bits > 0 ? step : std::ldexp(std::abs(w), -precision.mantissa) + precision.smallest;
    const double bound = distance / 2 * (1 + 1e-5) + 2 * precision.vector_epsilon * std::abs(w) + largest * 1e-6;
    strange += std::abs(found.floats()[i] - w) <= bound ? 0 : 1;
  }
  return strange;
}

/// Signal over noise.
double decibels(const HostTensor& reference, const HostTensor& found) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < reference.floats().size(); ++i) {
    const double r = reference.floats()[i], e = found.floats()[i] - r;
    signal += r * r;
    noise += e * e;
  }
  return 10 * std::log10(signal / noise);
}

/// 1, 1.25, 2 and 8 times the smallest legal budget: of the graph, or of the scratchpad's banks.
std::vector<Bytes> budgets_of(const Graph& graph, const std::string& precision, Bytes least = 512) {
  const Bytes smallest = std::max(least, partitioner::smallest_budget(graph, npu_in(precision)));
  return {smallest, smallest + (smallest + 3) / 4, 2 * smallest, 8 * smallest};
}

}  // namespace

TEST_CASE("layer by layer every stored element is its operator's result rounded once", "[simulator][formats]") {
  std::mt19937 random(20);
  for (int round = 0; round < 10; ++round) {
    const Graph graph = with_all_outputs(random_graph(random));
    const TensorMap inputs = workloads::test::random_inputs(graph, 100 + static_cast<std::uint64_t>(round));
    for (const Precision& precision : kPrecisions) {
      const bool symmetric = precision.bits == 0 || round % 2 == 0;
      const auto calibration = workloads::calibrate(graph, {inputs}, {.bits = precision.bits, .symmetric = symmetric});
      const auto ranges = shared_ranges(graph, calibration);
      std::optional<TensorMap> first;
      for (const Bytes budget : budgets_of(graph, precision.name)) {
        CAPTURE(round, precision.name, symmetric, budget);
        const TensorMap outputs =
            run(graph, npu_in(precision.name, budget), Strategy::kLayerByLayer, inputs, calibration);
        // The plan decides nothing: sums are exact, or in an order of their own.
        if (first) {
          for (const auto& [name, tensor] : *first) {
            CAPTURE(name);
            CHECK(outputs.at(name).floats() == tensor.floats());
          }
          continue;
        }
        first = outputs;
        TensorMap stored = outputs;
        for (const TensorId id : graph.inputs) {
          HostTensor value = inputs.at(graph.tensors[id].name);
          const auto grid = symmetric ? workloads::symmetric_quantiser(ranges.at(id), std::max(2, precision.bits))
                                      : workloads::asymmetric_quantiser(ranges.at(id), std::max(2, precision.bits));
          for (float& v : value.floats())
            v = precision.bits > 0 ? grid.decode(grid.encode(v)) : as_float_format(precision, v);
          stored[graph.tensors[id].name] = value;
        }
        for (const Node& node : graph.nodes) {
          const std::string& name = graph.tensors[node.outputs[0]].name;
          CAPTURE(node.op, node.name);
          CHECK(strange_elements(precision, ranges.at(node.outputs[0]), symmetric,
                                 reference_of(graph, node, precision, stored), outputs.at(name)) == 0);
        }
      }
    }
  }
}

TEST_CASE("fused plans of random graphs lose no more than their formats do", "[simulator][formats]") {
  // Noise of a format's rounding, decibels below the signal: uniform over a step, six to ten layers that add up; a
  // fused plan rounds less often. Integers lose what their range is larger than the usual value.
  const std::map<std::string, double> least{{"int8", 15}, {"w8a16", 25},  {"int16", 55}, {"fp16", 45},
                                            {"bf16", 28}, {"fp8e4m3", 8}, {"fp8e5m2", 2}};
  std::mt19937 random(21);
  for (int round = 0; round < 10; ++round) {
    const Graph graph = random_graph(random);
    const TensorMap inputs = workloads::test::random_inputs(graph, 200 + static_cast<std::uint64_t>(round));
    const auto reference = workloads::execute(graph, inputs);
    for (const Precision& precision : kPrecisions) {
      const bool symmetric = precision.bits == 0 || round % 2 == 0;
      const auto calibration = workloads::calibrate(graph, {inputs}, {.bits = precision.bits, .symmetric = symmetric});
      for (const Bytes budget : budgets_of(graph, precision.name)) {
        CAPTURE(round, precision.name, symmetric, budget);
        const auto outputs = run(graph, npu_in(precision.name, budget), Strategy::kFused, inputs, calibration);
        for (const auto& [name, wanted] : reference) {
          const double ratio = decibels(wanted, outputs.at(name));
          CAPTURE(name, ratio);
          CHECK(ratio > least.at(precision.name));
        }
      }
    }
  }
}

namespace {

/// At four budgets, both strategies. Layer by layer the plan decides nothing unless statistics are gathered over tiles.
void run_network(const char* model, bool gathers, const std::vector<Precision>& precisions) {
  const std::map<std::string, double> least{{"int8", 20}, {"w8a16", 35},   {"int16", 65}, {"fp16", 52},
                                            {"bf16", 36}, {"fp8e4m3", 13}, {"fp8e5m2", 8}};
  const Graph graph = workloads::canonicalise(workloads::zoo_graph("sd-tiny", model));
  const TensorMap inputs = workloads::test::random_inputs(graph);
  const auto reference = workloads::execute(graph, inputs);
  const auto calibration = workloads::calibrate(graph, {inputs}, {});
  for (const Precision& precision : precisions) {
    for (const Strategy strategy : {Strategy::kLayerByLayer, Strategy::kFused}) {
      std::optional<TensorMap> first;
      // The smallest budgets are far smaller and make hundreds of thousands of commands.
      for (const Bytes budget : budgets_of(graph, precision.name, 24 << 10)) {
        CAPTURE(model, precision.name, strategy == Strategy::kFused, budget);
        const auto outputs = run(graph, npu_in(precision.name, budget), strategy, inputs, calibration);
        for (const auto& [name, wanted] : reference) {
          if (!wanted.holds_float()) continue;
          const double ratio = decibels(wanted, outputs.at(name));
          CAPTURE(name, ratio);
          CHECK(ratio > least.at(precision.name));
          if (first && strategy == Strategy::kLayerByLayer) {
            const double change = decibels(first->at(name), outputs.at(name));
            CAPTURE(change);
            if (gathers) {
              CHECK(change > ratio - 3);
            } else {
              CHECK(outputs.at(name).floats() == first->at(name).floats());
            }
          }
        }
        if (!first) first = outputs;
      }
    }
  }
}

}  // namespace

// One case a network, so that they run side by side.
TEST_CASE("the smallest text encoder in every format at four budgets", "[simulator][formats]") {
  run_network("text_encoder", false, kPrecisions);
}
TEST_CASE("the smallest U-Net in a format of each kind at four budgets", "[simulator][formats]") {
  run_network("unet", true, {kPrecisions[0], kPrecisions[3], kPrecisions[5]});  // planning it takes long
}
TEST_CASE("the smallest VAE encoder in every format at four budgets", "[simulator][formats]") {
  run_network("vae_encoder", true, kPrecisions);
}
TEST_CASE("the smallest VAE decoder in every format at four budgets", "[simulator][formats]") {
  run_network("vae_decoder", true, kPrecisions);
}

}  // namespace spillway::simulator::test
