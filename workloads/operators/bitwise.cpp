// Operators on the bits of integers: BitShift, and BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot (opset 18).
#include "workloads/operators/elementwise.h"
#include "workloads/operators/families.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;
using elementwise::ops;
using elementwise::Plain;

/// Like a comparison: one pass of the lane's integer unit.
struct Bits : Plain {
  using Plain::Plain;
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kCompare, 1); }
};
struct BitAnd : Bits {
  using Bits::Bits;
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a & b; }
};
struct BitOr : Bits {
  using Bits::Bits;
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a | b; }
};
struct BitXor : Bits {
  using Bits::Bits;
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a ^ b; }
};
struct BitNot : Bits {
  using Bits::Bits;
  std::int64_t operator()(std::int64_t a) const { return ~a; }
};
struct BitShift {
  bool left;
  BitShift(const Graph&, const Node& node) : left(node.text("direction", "") == "LEFT") {}
  std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    if (b < 0 || b >= 64) return 0;
    const auto bits = static_cast<std::uint64_t>(a);
    return static_cast<std::int64_t>(left ? bits << b : bits >> b);
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kCompare, 1); }
};

void check_integers(InferContext& context) {
  for (int i = 0; i < static_cast<int>(context.node.inputs.size()); ++i) check_integer_input(context, i);
}

void infer_bits(InferContext& context) {
  elementwise::infer_binary(context);
  check_integers(context);
}

void infer_not(InferContext& context) {
  elementwise::infer_same(context);
  check_integers(context);
}

void infer_shift(InferContext& context) {
  infer_bits(context);
  const std::string direction = context.node.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    bad_node(context.node, "direction '" + direction + "' is not one of LEFT, RIGHT");
  }
  switch (context.graph.input(context.node, 0).type) {
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
    case DataType::kUint64:
      return;
    default:
      bad_node(context.node, "shifts unsigned integers only");
  }
}

}  // namespace

std::span<const OpDef> bitwise_operators() {
  using elementwise::binary, elementwise::unary;
  static const std::vector<OpDef> table = {
      binary<BitAnd>("BitwiseAnd", infer_bits),  binary<BitOr>("BitwiseOr", infer_bits),
      binary<BitXor>("BitwiseXor", infer_bits),  unary<BitNot>("BitwiseNot", infer_not),
      binary<BitShift>("BitShift", infer_shift),
  };
  return table;
}

}  // namespace spillway::workloads
