// Moves whose source position is a sum of per-dimension offsets: Pad, DepthToSpace, SpaceToDepth.
#include "workloads/operators/families.h"
#include "workloads/operators/moves.h"

namespace spillway::workloads {

namespace {

std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }

// --- Pad ---

enum class PadMode : std::uint8_t { kConstant, kReflect, kEdge, kWrap };

PadMode pad_mode(const Node& node) {
  const std::string mode = node.text("mode", "constant");
  if (mode == "constant") return PadMode::kConstant;
  if (mode == "reflect") return PadMode::kReflect;
  if (mode == "edge") return PadMode::kEdge;
  if (mode == "wrap") return PadMode::kWrap;
  bad_node(node, "mode '" + mode + "' is not one of constant, reflect, edge, wrap");
}

struct Pads {
  Shape before, after;  // per dimension
};

/// How many elements of an extent a negative pad takes away, at most one more than there are.
std::int64_t removed(std::int64_t pad, std::int64_t extent) { return pad >= 0 ? 0 : pad < -extent ? extent + 1 : -pad; }

Pads pads_of(const Node& node, const Shape& shape, const std::optional<std::vector<std::int64_t>>& given,
             const std::optional<std::vector<std::int64_t>>& axes) {
  const auto rank = static_cast<int>(shape.size());
  std::vector<std::int64_t> all(shape.size());
  for (std::size_t d = 0; d < all.size(); ++d) all[d] = static_cast<std::int64_t>(d);
  const std::vector<std::int64_t>& which = axes ? *axes : all;
  if (!given || given->size() != 2 * which.size()) {
    bad_node(node, "pads has " + std::to_string(given ? given->size() : 0) + " elements when it should have " +
                       std::to_string(2 * which.size()));
  }
  Pads pads{Shape(shape.size(), 0), Shape(shape.size(), 0)};
  const PadMode mode = pad_mode(node);
  for (std::size_t i = 0; i < which.size(); ++i) {
    const int d = normalise_axis(node, which[i], rank);
    const std::int64_t before = (*given)[i];
    const std::int64_t after = (*given)[i + which.size()];
    const std::int64_t cropped = removed(before, shape[d]) + removed(after, shape[d]);
    for (const std::int64_t pad : {before, after}) {
      // Negative pads crop; what is left is then padded at the other end.
      const std::int64_t extent = shape[d] - cropped;
      if (extent < 0) {
        bad_node(node, "pads " + std::to_string(before) + " and " + std::to_string(after) +
                           " crop more than the extent " + std::to_string(shape[d]));
      }
      const bool too_far = (mode == PadMode::kReflect && pad > 0 && pad >= extent) ||
                           (mode == PadMode::kWrap && pad > extent) ||
                           (mode == PadMode::kEdge && pad > 0 && extent == 0);
      if (too_far) {
        bad_node(node, "pad " + std::to_string(pad) + " is too large for extent " + std::to_string(extent) +
                           " in mode " + node.text("mode", "constant"));
      }
    }
    pads.before[d] = before;
    pads.after[d] = after;
  }
  return pads;
}

Pads pads_of(const Graph& graph, const Node& node) {
  return pads_of(node, graph.input(node, 0).shape, integers_argument(graph, node, "pads", 1),
                 integers_argument(graph, node, "axes", 3));
}

void infer_pad(InferContext& context) {
  check_arity(context, 1, 4);
  const Tensor& x = context.graph.input(context.node, 0);
  const Pads pads =
      pads_of(context.node, x.shape, integers_argument(context, "pads", 1), integers_argument(context, "axes", 3));
  Shape shape = x.shape;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (__builtin_add_overflow(shape[d], pads.before[d], &shape[d]) ||
        __builtin_add_overflow(shape[d], pads.after[d], &shape[d])) {
      bad_node(context.node, "the padded extent overflows");
    }
  }
  if (context.graph.has_input(context.node, 2)) static_cast<void>(known_value(context, 2, "its fill value is"));
  set_output(context, 0, x.type, std::move(shape));
}

/// The input coordinate that coordinate c of output dimension d shows; -1 for the fill value.
std::int64_t padded_source(PadMode mode, const Pads& pads, const Shape& shape, int d, std::int64_t c) {
  const std::int64_t i = c - pads.before[d];
  // What negative pads leave of the input.
  const std::int64_t first = std::max<std::int64_t>(0, -pads.before[d]);
  const std::int64_t end = shape[d] - std::max<std::int64_t>(0, -pads.after[d]);
  if (i >= first && i < end) return i;
  switch (mode) {
    case PadMode::kConstant:
      return -1;
    case PadMode::kReflect:
      return i < first ? 2 * first - i : 2 * (end - 1) - i;
    case PadMode::kEdge:
      return i < first ? first : end - 1;
    case PadMode::kWrap:
      return i < first ? i + (end - first) : i - (end - first);
  }
  return -1;
}

Box pad_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i > 0) return no_region(graph, node, i);
  const Pads pads = pads_of(graph, node);
  const PadMode mode = pad_mode(node);
  const Shape& shape = graph.input(node, 0).shape;
  const Box input = whole(shape);
  Box box = out;
  if (mode == PadMode::kConstant) {
    for (int d = 0; d < out.rank; ++d) box.begin[d] -= narrow(pads.before[d]);
    return intersect(box, input);
  }
  for (int d = 0; d < out.rank; ++d) {
    std::int64_t low = input.extent[d];
    std::int64_t high = -1;
    for (std::int64_t c = out.begin[d]; c < out.end(d); ++c) {
      const std::int64_t source = padded_source(mode, pads, shape, d, c);
      low = std::min(low, source);
      high = std::max(high, source);
    }
    box.set(d, narrow(high < 0 ? 0 : low), narrow(high < 0 ? 0 : high - low + 1));
  }
  return box;
}

template <typename T>
T pad_value(const Graph& graph, const Node& node) {
  if constexpr (std::is_same_v<T, float>) {
    return real_argument(graph, node, "value", 2).value_or(0.0F);
  } else {
    if (graph.has_input(node, 2)) return integers_argument(graph, node, "value", 2)->at(0);
    const auto it = node.attributes.find("value");
    if (it == node.attributes.end()) return 0;
    if (const auto* real = std::get_if<float>(&it->second)) return static_cast<std::int64_t>(*real);
    return node.integer("value", 0);
  }
}

struct Pad {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const Pads pads = pads_of(graph, node);
    const PadMode mode = pad_mode(node);
    const Shape& shape = graph.input(node, 0).shape;
    const auto tables = offset_tables(out, inputs[0].box,
                                      [&](int d, std::int64_t c) { return padded_source(mode, pads, shape, d, c); });
    table_copy(out, result, tables, inputs[0].data, pad_value<T>(graph, node));
  }
};

// --- DepthToSpace and SpaceToDepth, blocks of b x b, NCHW ---

std::int64_t block_size(const Node& node) {
  const std::int64_t block = node.integer("blocksize", 0);
  if (block < 1 || block > 32768) bad_node(node, "blocksize " + std::to_string(block) + " is out of range");
  return block;
}

/// DCR: channel (i b + j) C + c; CRD: channel c b^2 + i b + j, for offset (i, j) within the block.
bool depth_first(const Node& node) {
  const std::string mode = node.text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") bad_node(node, "mode '" + mode + "' is not one of DCR, CRD");
  return mode == "DCR";
}

void infer_depth_to_space(InferContext& context) {
  check_arity(context, 1, 1);
  static_cast<void>(depth_first(context.node));
  const Tensor& x = context.graph.input(context.node, 0);
  const std::int64_t b = block_size(context.node);
  if (x.shape.size() != 4 || x.shape[1] % (b * b) != 0) {
    bad_node(context.node, "input of shape " + to_string(x.shape) + " has no blocks of " + std::to_string(b));
  }
  Shape shape = x.shape;
  shape[1] /= b * b;
  for (int d = 2; d < 4; ++d) {
    if (__builtin_mul_overflow(shape[d], b, &shape[d])) bad_node(context.node, "the extent overflows");
  }
  set_output(context, 0, x.type, std::move(shape));
}

/// The offsets within a block that coordinates [begin, begin + extent) take: {lowest, highest}.
std::pair<std::int64_t, std::int64_t> phases(std::int32_t begin, std::int32_t extent, std::int64_t block) {
  const std::int64_t first = begin % block;
  if (first + extent > block) return {0, block - 1};
  return {first, first + extent - 1};
}

Box depth_to_space_region(const Graph& graph, const Node& node, int, const Box& out) {
  if (out.empty()) return no_region(graph, node, 0);
  const std::int64_t b = block_size(node);
  const std::int64_t channels = graph.output(node).shape[1];
  const auto [i_low, i_high] = phases(out.begin[2], out.extent[2], b);
  const auto [j_low, j_high] = phases(out.begin[3], out.extent[3], b);
  const bool dcr = depth_first(node);
  const auto channel = [&](std::int64_t i, std::int64_t j, std::int64_t c) {
    return dcr ? (i * b + j) * channels + c : (c * b + i) * b + j;
  };
  Box box = out;
  const std::int64_t low = channel(i_low, j_low, out.begin[1]);
  box.set(1, narrow(low), narrow(channel(i_high, j_high, out.end(1) - 1) - low + 1));
  for (int d = 2; d < 4; ++d) {
    const std::int64_t first = out.begin[d] / b;
    box.set(d, narrow(first), narrow((out.end(d) - 1) / b - first + 1));
  }
  return box;
}

struct DepthToSpace {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const std::int64_t b = block_size(node);
    const std::int64_t channels = graph.output(node).shape[1];
    const bool dcr = depth_first(node);
    const Walk at = dense_walk(inputs[0].box, inputs[0].box);
    const std::int64_t i_step = at.stride[1] * (dcr ? b * channels : b);
    const std::int64_t j_step = at.stride[1] * (dcr ? channels : 1);
    const std::int64_t c_step = at.stride[1] * (dcr ? 1 : b * b);
    std::int64_t origin = 0;
    for (int d = 0; d < 4; ++d) origin -= at.stride[d] * inputs[0].box.begin[d];
    OffsetTables tables;
    for (std::int64_t n = out.begin[0]; n < out.end(0); ++n) tables.offset[0].push_back(origin + n * at.stride[0]);
    for (std::int64_t c = out.begin[1]; c < out.end(1); ++c) tables.offset[1].push_back(c * c_step);
    for (std::int64_t h = out.begin[2]; h < out.end(2); ++h) {
      tables.offset[2].push_back(h / b * at.stride[2] + h % b * i_step);
    }
    for (std::int64_t w = out.begin[3]; w < out.end(3); ++w) {
      tables.offset[3].push_back(w / b * at.stride[3] + w % b * j_step);
    }
    table_copy(out, result, tables, inputs[0].data, T{});
  }
};

void infer_space_to_depth(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  const std::int64_t b = block_size(context.node);
  if (x.shape.size() != 4 || x.shape[2] % b != 0 || x.shape[3] % b != 0) {
    bad_node(context.node, "input of shape " + to_string(x.shape) + " has no blocks of " + std::to_string(b));
  }
  Shape shape = x.shape;
  if (__builtin_mul_overflow(shape[1], b * b, &shape[1])) bad_node(context.node, "the extent overflows");
  shape[2] /= b;
  shape[3] /= b;
  set_output(context, 0, x.type, std::move(shape));
}

Box space_to_depth_region(const Graph& graph, const Node& node, int, const Box& out) {
  if (out.empty()) return no_region(graph, node, 0);
  const std::int64_t b = block_size(node);
  const std::int64_t channels = graph.input(node, 0).shape[1];
  const std::int64_t first = out.begin[1] / channels;  // block offsets i b + j that the output channels cover
  const std::int64_t last = (out.end(1) - 1) / channels;
  Box box = out;
  if (first == last) {
    box.begin[1] = narrow(out.begin[1] % channels);
  } else {
    box.set(1, 0, narrow(channels));
  }
  const bool one_row = first / b == last / b;
  const std::int64_t low[2] = {first / b, one_row ? first % b : 0};
  const std::int64_t high[2] = {last / b, one_row ? last % b : b - 1};
  for (int d = 2; d < 4; ++d) {
    const std::int64_t from = out.begin[d] * b + low[d - 2];
    box.set(d, narrow(from), narrow((out.end(d) - 1) * b + high[d - 2] - from + 1));
  }
  return box;
}

struct SpaceToDepth {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const std::int64_t b = block_size(node);
    const std::int64_t channels = graph.input(node, 0).shape[1];
    const Walk at = dense_walk(inputs[0].box, inputs[0].box);
    std::int64_t origin = 0;
    for (int d = 0; d < 4; ++d) origin -= at.stride[d] * inputs[0].box.begin[d];
    OffsetTables tables;
    for (std::int64_t n = out.begin[0]; n < out.end(0); ++n) tables.offset[0].push_back(origin + n * at.stride[0]);
    for (std::int64_t c = out.begin[1]; c < out.end(1); ++c) {
      const std::int64_t phase = c / channels;
      tables.offset[1].push_back(phase / b * at.stride[2] + phase % b * at.stride[3] + c % channels * at.stride[1]);
    }
    for (int d = 2; d < 4; ++d) {
      for (std::int64_t c = out.begin[d]; c < out.end(d); ++c) tables.offset[d].push_back(c * b * at.stride[d]);
    }
    table_copy(out, result, tables, inputs[0].data, T{});
  }
};

}  // namespace

std::span<const OpDef> rearrange_operators() {
  static const std::vector<OpDef> table = {
      move_operator<Pad>("Pad", infer_pad, pad_region),
      move_operator<DepthToSpace>("DepthToSpace", infer_depth_to_space, depth_to_space_region),
      move_operator<SpaceToDepth>("SpaceToDepth", infer_space_to_depth, space_to_depth_region),
  };
  return table;
}

}  // namespace spillway::workloads
