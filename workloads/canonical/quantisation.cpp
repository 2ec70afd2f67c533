// DequantizeLinear of QuantizeLinear with the same scale and zero point is one rounding to the grid: FakeQuantize. The
// integers between them exist in no plan, so that the config's precision alone says how activations are stored.
#include <algorithm>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

bool same_constant(const Rewriter& rewriter, TensorId a, TensorId b) {
  if (a == b) return true;
  const auto x = rewriter.value(a);
  const auto y = rewriter.value(b);
  return x && y && x->type == y->type && x->shape == y->shape && x->data == y->data;
}

TensorId input_of(const Node& node, std::size_t i) { return i < node.inputs.size() ? node.inputs[i] : kNone; }

/// The zero point is an offset within the kernel's arithmetic: stored like the scale.
TensorId as_float(Rewriter& rewriter, TensorId zero_point, DataType type, const std::string& name) {
  auto value = rewriter.value(zero_point);
  if (!value) return kNone;
  const std::vector<std::int64_t> ints = value->ints();
  if (std::all_of(ints.begin(), ints.end(), [](std::int64_t v) { return v == 0; })) return kNone;
  value->type = type;
  value->data = std::vector<float>(ints.begin(), ints.end());
  return rewriter.add_constant(name, std::move(*value));
}

void match(Rewriter& rewriter, NodeId id) {
  const Node dequantize = rewriter.node(id);
  const NodeId producer = rewriter.producer(dequantize.inputs[0], "QuantizeLinear");
  if (producer == kNone) return;
  const Node quantize = rewriter.node(producer);
  for (std::size_t i = 1; i < 3; ++i) {
    const TensorId a = input_of(quantize, i);
    const TensorId b = input_of(dequantize, i);
    if ((a == kNone) != (b == kNone) || (a != kNone && !same_constant(rewriter, a, b))) return;
  }
  const TensorId zero_point = input_of(quantize, 2);
  if (zero_point != kNone && !rewriter.value(zero_point)) return;
  if (quantize.integer("axis", 1) != dequantize.integer("axis", 1)) return;

  Node fake;
  fake.name = dequantize.name;
  fake.op = "FakeQuantize";
  fake.inputs = {quantize.inputs[0], quantize.inputs[1]};
  fake.outputs = {dequantize.outputs[0]};
  fake.attributes["axis"] = quantize.integer("axis", 1);
  const DataType stored = rewriter.tensor(quantize.outputs[0]).type;
  const bool is_signed = stored == DataType::kInt8 || stored == DataType::kInt16;
  const float steps = bytes_of(stored) == 1 ? 256.0F : 65536.0F;
  fake.attributes["low"] = is_signed ? -steps / 2 : 0.0F;
  fake.attributes["high"] = (is_signed ? steps / 2 : steps) - 1.0F;
  if (zero_point != kNone) {
    const DataType type = rewriter.tensor(quantize.inputs[1]).type;
    const TensorId zero = as_float(rewriter, zero_point, type, fake.name + ":zero");
    if (zero != kNone) fake.inputs.push_back(zero);
  }
  std::vector<NodeId> matched{id};
  if (rewriter.sole_consumer(quantize.outputs[0]) == id) matched.insert(matched.begin(), producer);
  rewriter.replace(matched, {std::move(fake)});
}

}  // namespace

void merge_quantisation(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (rewriter.alive(id) && rewriter.node(id).op == "DequantizeLinear") match(rewriter, id);
  }
}

}  // namespace spillway::workloads
