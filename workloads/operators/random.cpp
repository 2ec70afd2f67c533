// RandomNormal, RandomUniform and their Like forms. ONNX leaves the values to the implementation; here element i is a
// pure function of the node's seed and i, so that a region can be computed without its neighbours and every run, tile
// size and machine gives the same tensor. Without a `seed` attribute the seed is a hash of the output's name.
//
// On the NPU they run on the vector engine: the counter-based bits cost four integer operations (kAddMul), and a
// normal value is Box and Muller's (1958) sqrt(-2 log u1) cos(2 pi u2): logarithm and cosine on the exponential unit.
#include "workloads/random.h"

#include <bit>
#include <cmath>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

std::uint64_t seed_of(const Graph& graph, const Node& node) {
  if (node.attributes.contains("seed")) return std::bit_cast<std::uint32_t>(node.real("seed", 0.0F));
  std::uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a
  for (const char c : graph.output(node).name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

/// Elements 2i and 2i + 1 of the stream make element i: u1 in (0, 1] so that its logarithm is finite.
struct Normal {
  std::uint64_t seed;
  float mean, scale;
  Normal(const Graph& graph, const Node& node)
      : seed(seed_of(graph, node)), mean(node.real("mean", 0.0F)), scale(node.real("scale", 1.0F)) {}
  float operator()(std::uint64_t i) const {
    const float u1 = 1.0F - random_unit(seed, 2 * i);
    const float u2 = random_unit(seed, 2 * i + 1);
    return mean + scale * std::sqrt(-2.0F * std::log(u1)) * std::cos(6.2831853F * u2);
  }
  static VectorWork cost() {
    VectorWork work{};
    work[static_cast<std::size_t>(VectorOp::kAddMul)] =
        4 + 4 + 5;  // two streams; -2 log, 2 pi u2, product, mean, scale
    work[static_cast<std::size_t>(VectorOp::kExp)] = 2;
    work[static_cast<std::size_t>(VectorOp::kSqrt)] = 1;
    return work;
  }
};

struct Uniform {
  std::uint64_t seed;
  float low, high;
  Uniform(const Graph& graph, const Node& node)
      : seed(seed_of(graph, node)), low(node.real("low", 0.0F)), high(node.real("high", 1.0F)) {}
  float operator()(std::uint64_t i) const { return low + (high - low) * random_unit(seed, i); }
  static VectorWork cost() { return work_of(VectorOp::kAddMul, 4 + 2); }
};

template <typename Distribution>
void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView>, const RegionView& out) {
  const Distribution value(graph, node);
  const Nest<2> nest(out.box, {dense_walk(out.box, out.box), dense_walk(whole(graph.output(node).shape), out.box)});
  nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
    for (std::int64_t k = 0; k < nest.row_length(); ++k) {
      out.data[at[0] + k * nest.row_stride(0)] = value(static_cast<std::uint64_t>(at[1] + k * nest.row_stride(1)));
    }
  });
}

template <typename Distribution>
VectorWork work(const Graph&, const Node&, const Box& out) {
  VectorWork result = Distribution::cost();
  for (std::int64_t& count : result) count *= out.elements();
  return result;
}

DataType output_type(const Node& node, DataType fallback) {
  const DataType type = node.attributes.contains("dtype") ? data_type_of(node, node.integer("dtype", 1)) : fallback;
  if (!is_float(type)) bad_node(node, "attribute dtype is " + std::string(name_of(type)) + ", not a float type");
  return type;
}

void infer_shaped(InferContext& context) {
  check_arity(context, 0, 0);
  if (!context.node.attributes.contains("shape")) bad_node(context.node, "attribute shape is missing");
  set_output(context, 0, output_type(context.node, DataType::kFloat32), context.node.integers("shape"));
}

void infer_like(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, output_type(context.node, x.type), x.shape);
}

/// The Like form streams its input through the lanes for its extent alone, so it needs the same region of it.
template <typename Distribution>
OpDef define(std::string_view name, void (*infer)(InferContext&)) {
  return {.name = name,
          .op_class = OpClass::kElementwise,
          .infer = infer,
          .region = broadcast_region,
          .kernel = kernel<Distribution>,
          .vector_work = work<Distribution>};
}

}  // namespace

std::span<const OpDef> random_operators() {
  static const std::vector<OpDef> table = {
      define<Normal>("RandomNormal", infer_shaped),
      define<Normal>("RandomNormalLike", infer_like),
      define<Uniform>("RandomUniform", infer_shaped),
      define<Uniform>("RandomUniformLike", infer_like),
  };
  return table;
}

}  // namespace spillway::workloads
