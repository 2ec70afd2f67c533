#include "simulator/functional/byte_product.h"

#include <algorithm>
#include <numeric>

#include "workloads/compute/int8_product.h"
#include "workloads/operators/spatial.h"

namespace spillway::simulator {

using workloads::Box;
using workloads::Graph;
using workloads::Node;
using workloads::compute::Int8Convolution;
using workloads::compute::Int8Product;

namespace {

constexpr std::int64_t kMostTerms = 1 << 15;  // int8_product()

std::vector<int> ascending(int rank) {
  std::vector<int> order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

ByteSums room_for(const Box& out, std::vector<int> order, const PlaceSums& place) {
  ByteSums sums{std::move(order), nullptr, nullptr};
  sums.values = place(sums.order);
  if (sums.values == nullptr) {
    sums.buffer = std::make_shared<workloads::compute::Scratch>(out.elements());
    sums.values = reinterpret_cast<std::int32_t*>(sums.buffer->get());
  }
  return sums;
}

std::optional<ByteSums> matrices(const Graph& graph, const Node& node, const Box& out,
                                 std::array<std::int32_t, 2> zero_points, const ReadBytes& read,
                                 const PlaceSums& place) {
  const workloads::OpDef& def = workloads::operator_of(node);
  const Box a = def.region(graph, node, 0, out);
  const Box b = def.region(graph, node, 1, out);
  const int rank = out.rank;
  if (rank < 2 || a.rank != rank || b.rank < 2 || node.integer("transA", 0) != 0) return std::nullopt;
  std::int64_t batch = 1;
  for (int d = 0; d + 2 < rank; ++d) batch *= out.extent[static_cast<std::size_t>(d)];
  const bool shared = b.rank == 2;  // one matrix for all of the batch: rows follow rows
  const auto same_batch = [&](const Box& box) {
    return box.rank == rank && std::equal(box.extent.begin(), box.extent.begin() + rank - 2, out.extent.begin());
  };
  if (!same_batch(a) || (!shared && !same_batch(b))) return std::nullopt;
  Int8Product shape;
  shape.m = out.extent[static_cast<std::size_t>(rank - 2)] * (shared ? batch : 1);
  shape.n = out.extent[static_cast<std::size_t>(rank - 1)];
  shape.k = a.extent[static_cast<std::size_t>(rank - 1)];
  if (shape.k > kMostTerms || shape.m <= 0 || shape.n <= 0 || shape.k <= 0) return std::nullopt;
  shape.a_zero = zero_points[0];
  shape.b_zero = zero_points[1];
  // Weights lie with their columns one after the other.
  const bool given_transposed = node.integer("transB", 0) != 0;
  shape.b_transposed = given_transposed || graph.input(node, 1).is_constant();
  std::vector<int> order_b = ascending(b.rank);
  if (shape.b_transposed != given_transposed) std::swap(order_b[order_b.size() - 2], order_b.back());
  const ByteRegion as = read(0, a, ascending(rank));
  const ByteRegion bs = read(1, b, order_b);
  const ByteSums sums = room_for(out, ascending(rank), place);
  const auto count_a = static_cast<std::size_t>(shape.m * shape.k);
  const auto count_b = static_cast<std::size_t>(shape.k * shape.n);
  const auto count = static_cast<std::size_t>(shape.m * shape.n);
  const auto product = [&](std::int64_t index) {
    const auto i = static_cast<std::size_t>(index);
    int8_product(shape, std::span(as.data + i * count_a, count_a), std::span(bs.data + i * count_b, count_b),
                 std::span(sums.values + i * count, count));
  };
  const std::int64_t products = shared ? 1 : batch;
  if (products >= 2 * workloads::compute::thread_count()) {
    workloads::compute::parallel_for(products, product);
  } else {
    for (std::int64_t i = 0; i < products; ++i) product(i);
  }
  return sums;
}

std::optional<ByteSums> images(const Graph& graph, const Node& node, const Box& out,
                               std::array<std::int32_t, 2> zero_points, const ReadBytes& read, const PlaceSums& place) {
  if (out.rank != 4 || node.integer("group", 1) != 1 || out.empty()) return std::nullopt;
  const workloads::OpDef& def = workloads::operator_of(node);
  const Box x = def.region(graph, node, 0, out);
  const Box w = def.region(graph, node, 1, out);
  if (x.empty() || w.empty()) return std::nullopt;
  const workloads::Window window = workloads::window_of(node, graph.input(node, 0).shape, {w.extent[2], w.extent[3]});
  Int8Convolution shape{.height = x.extent[2],
                        .width = x.extent[3],
                        .in = x.extent[1],
                        .out = out.extent[1],
                        .kernel_h = window.kernel[0],
                        .kernel_w = window.kernel[1],
                        .stride_h = window.stride[0],
                        .stride_w = window.stride[1],
                        .dilation_h = window.dilation[0],
                        .dilation_w = window.dilation[1],
                        .x_zero = zero_points[0],
                        .w_zero = zero_points[1]};
  if (shape.in * shape.kernel_h * shape.kernel_w > kMostTerms) return std::nullopt;
  // What the region's windows reach beyond the part of the image that there is.
  const auto pads = [&](int d, std::int64_t& before, std::int64_t& after) {
    const auto dim = static_cast<std::size_t>(d) + 2;
    const std::int64_t first =
        out.begin[dim] * window.stride[static_cast<std::size_t>(d)] - window.pad_begin[static_cast<std::size_t>(d)];
    const std::int64_t span = (out.extent[dim] - 1) * window.stride[static_cast<std::size_t>(d)] + window.span(d);
    before = x.begin[dim] - first;
    after = span - before - x.extent[dim];
    return before >= 0 && after >= 0;
  };
  if (!pads(0, shape.pad_top, shape.pad_bottom) || !pads(1, shape.pad_left, shape.pad_right)) return std::nullopt;
  if (shape.out_height() != out.extent[2] || shape.out_width() != out.extent[3]) return std::nullopt;
  const std::vector<int> channels_last{0, 2, 3, 1};
  const ByteRegion xs = read(0, x, channels_last);
  const ByteRegion ws = read(1, w, channels_last);
  const ByteSums sums = room_for(out, channels_last, place);
  const auto image = static_cast<std::size_t>(shape.height * shape.width * shape.in);
  const auto weights = static_cast<std::size_t>(w.elements());
  const auto result = static_cast<std::size_t>(shape.out_height() * shape.out_width() * shape.out);
  for (std::size_t i = 0; i < static_cast<std::size_t>(out.extent[0]); ++i) {
    int8_convolution(shape, std::span(xs.data + i * image, image), std::span(ws.data, weights),
                     std::span(sums.values + i * result, result));
  }
  return sums;
}

}  // namespace

std::optional<ByteSums> byte_product(const Graph& graph, const Node& node, const Box& out,
                                     std::array<std::int32_t, 2> zero_points, const ReadBytes& read,
                                     const PlaceSums& place) {
  if (node.op == "MatMul") return matrices(graph, node, out, zero_points, read, place);
  if (node.op == "Conv") return images(graph, node, out, zero_points, read, place);
  return std::nullopt;
}

}  // namespace spillway::simulator
