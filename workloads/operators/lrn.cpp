// LRN: local response normalisation across channels (Krizhevsky et al., NIPS 2012).
#include <algorithm>
#include <cmath>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

struct Lrn {
  std::int64_t size = 0;
  float alpha = 0, beta = 0, bias = 0;
};

Lrn parameters_of(const Node& node) {
  return {node.integer("size", 0), node.real("alpha", 1e-4F), node.real("beta", 0.75F), node.real("bias", 1.0F)};
}

void infer(InferContext& context) {
  check_arity(context, 1, 1);
  check_float_input(context, 0);
  const Tensor& x = context.graph.input(context.node, 0);
  if (x.shape.size() < 2) bad_node(context.node, "input " + to_string(x.shape) + " has no channels");
  const std::int64_t size = parameters_of(context.node).size;
  if (size < 1 || size >= std::int64_t{1} << 31) {
    bad_node(context.node, "size is " + std::to_string(size) + " when it should be at least 1 and below 2^31");
  }
  set_output(context, 0, x.type, x.shape);
}

/// Channels [begin, end) whose squares channel c is divided by.
std::pair<std::int64_t, std::int64_t> neighbours(const Lrn& lrn, std::int64_t c, std::int64_t channels) {
  const std::int64_t begin = c - (lrn.size - 1) / 2;
  return {std::max<std::int64_t>(begin, 0), std::min(begin + lrn.size, channels)};
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (out.empty()) return no_region(graph, node, i);
  const Lrn lrn = parameters_of(node);
  const std::int64_t channels = graph.input(node, 0).shape[1];
  const auto begin = static_cast<std::int32_t>(neighbours(lrn, out.begin[1], channels).first);
  const auto end = static_cast<std::int32_t>(neighbours(lrn, out.end(1) - 1, channels).second);
  Box box = out;
  box.set(1, begin, end - begin);
  return box;
}

void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const Lrn lrn = parameters_of(node);
  const std::int64_t channels = graph.input(node, 0).shape[1];
  const Walk from = dense_walk(inputs[0].box, region(graph, node, 0, out.box));
  Box one_channel = out.box;
  const Walk to = dense_walk(out.box, out.box);
  const std::int32_t first = region(graph, node, 0, out.box).begin[1];
  for (std::int32_t c = 0; c < out.box.extent[1]; ++c) {
    one_channel.set(1, out.box.begin[1] + c, 1);
    const auto [begin, end] = neighbours(lrn, one_channel.begin[1], channels);
    Walk x = from;
    Walk y = to;
    y.offset += c * y.stride[1];
    const std::int64_t own = (one_channel.begin[1] - first) * from.stride[1];
    const std::int64_t lowest = (begin - first) * from.stride[1];
    const std::int64_t count = end - begin;
    const Nest<2> nest(one_channel, {y, x});
    nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
      for (std::int64_t i = 0; i < nest.row_length(); ++i) {
        const float* base = inputs[0].data + at[1] + i * nest.row_stride(1);
        float squares = 0.0F;
        for (std::int64_t k = 0; k < count; ++k) {
          const float v = base[lowest + k * from.stride[1]];
          squares += v * v;
        }
        const float scale = lrn.bias + lrn.alpha / static_cast<float>(lrn.size) * squares;
        out.data[at[0] + i * nest.row_stride(0)] = base[own] * std::pow(scale, -lrn.beta);
      }
    });
  }
}

/// A square and a sum for each neighbour, scale and shift, the power as exp(-beta log(s)), the product.
VectorWork work(const Graph& graph, const Node& node, const Box& out) {
  const std::int64_t size = std::min(parameters_of(node).size, graph.input(node, 0).shape[1]);
  VectorWork work = work_of(VectorOp::kAddMul, (2 * size + 4) * out.elements());
  work[static_cast<std::size_t>(VectorOp::kExp)] = 2 * out.elements();
  return work;
}

constexpr OpDef kOperators[] = {
    {.name = "LRN",
     .op_class = OpClass::kWindow,
     .infer = infer,
     .region = region,
     .kernel = kernel,
     .vector_work = work},
};

}  // namespace

std::span<const OpDef> lrn_operators() { return kOperators; }

}  // namespace spillway::workloads
