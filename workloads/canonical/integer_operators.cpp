// Operators on quantised tensors become those on the numbers that they stand for, as a pair of QuantizeLinear and
// DequantizeLinear says them (quantisation.cpp merges what is left of those):
//   QLinearConv, QLinearMatMul         operands dequantised, weights to constants; QuantizeLinear of the result
//   ConvInteger, MatMulInteger         zero points subtracted; sums are whole numbers in float
//   DynamicQuantizeLinear              ReduceMin, ReduceMax and what follows from them (its function body, opset 11)
// The config's precision then says how the NPU multiplies and stores. A result that lies between two steps of a grid
// may be rounded to the other one than integer arithmetic would.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "workloads/canonical.h"
#include "workloads/canonical/node_list.h"
#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

constexpr std::int64_t kOnnxFloat = 1, kOnnxUint8 = 2, kOnnxInt32 = 6;  // TensorProto.DataType

/// DynamicQuantizeLinear's results as numbers, for the products that read them.
struct Quantised {
  TensorId values = kNone, zero = kNone;
};

class Expansion {
 public:
  Expansion(Rewriter& rewriter, std::map<TensorId, Quantised>& quantised, NodeId id)
      : rewriter_(rewriter),
        quantised_(quantised),
        id_(id),
        node_(rewriter.node(id)),
        list_(rewriter, node_.name, DataType::kFloat32) {}

  void qlinear(bool convolution) {
    const int rank = static_cast<int>(shape_of(input(0)).size());
    const TensorId x = dequantised(input(0), input(1), input(2), rank - 2);
    const TensorId w = weights(input(3), input(4), input(5), convolution ? 0 : rank_of(input(3)) - 1);
    std::vector<TensorId> inputs{x, w};
    if (convolution && input(8) != kNone) {
      const auto scaled = bias();
      if (!scaled) return;
      inputs.push_back(*scaled);
    }
    const TensorId sum = add(convolution ? "Conv" : "MatMul", std::move(inputs), shape_of(output(0)),
                             convolution ? node_.attributes : std::map<std::string, Attribute>{});
    const std::size_t worker = nodes_.size() - 1;
    std::vector<TensorId> grid{sum, input(6)};
    if (input(7) != kNone) grid.push_back(input(7));
    add("QuantizeLinear", std::move(grid), shape_of(output(0)));
    finish({id_}, output(0), worker);
  }

  void integer(bool convolution) {
    const TensorId x = centred(input(0), input(2), rank_of(input(0)) - 2);
    const TensorId w = weights(input(1), kNone, input(3), convolution ? 0 : rank_of(input(1)) - 1);
    const TensorId sum = add(convolution ? "Conv" : "MatMul", {x, w}, shape_of(output(0)),
                             convolution ? node_.attributes : std::map<std::string, Attribute>{});
    const std::size_t worker = nodes_.size() - 1;
    const NodeId cast = rewriter_.sole_consumer(output(0), "Cast");
    if (cast != kNone && rewriter_.node(cast).integer("to", 0) == kOnnxFloat) {
      return finish({id_, cast}, rewriter_.node(cast).outputs[0], worker);
    }
    add("Cast", {sum}, shape_of(output(0)), {{"to", kOnnxInt32}});
    finish({id_}, output(0), worker);
  }

  void dynamic() {
    const TensorId x = input(0);
    const TensorId low = add("Min", {extreme("ReduceMin", x), scalar(0.0F)}, {});
    const TensorId high = add("Max", {extreme("ReduceMax", x), scalar(0.0F)}, {});
    // Of nothing but zeros: a step that divides.
    const TensorId wide = add("Div", {add("Sub", {high, low}, {}), scalar(255.0F)}, {});
    const TensorId scale = add("Max", {wide, scalar(std::numeric_limits<float>::min())}, {});
    const auto in_range = [&](TensorId value, const Shape& shape) {
      return add("Clip", {value}, shape, {{"min", 0.0F}, {"max", 255.0F}});
    };
    const TensorId quotient = add("Div", {low, scale}, {});
    const TensorId zero = add("Round", {in_range(add("Neg", {quotient}, {}), {})}, {});
    const Shape shape = shape_of(x);
    const TensorId rounded = add("Round", {add("Div", {x, scale}, shape)}, shape);
    const TensorId values = in_range(add("Add", {rounded, zero}, shape), shape);
    const std::size_t worker = nodes_.size() - 1;
    for (const auto& [i, value] : {std::pair{0, values}, std::pair{2, zero}}) {
      if (output(i) == kNone) continue;
      add("Cast", {value}, shape_of(value), {{"to", kOnnxUint8}});
      nodes_.back().outputs[0] = output(i);
    }
    add("Identity", {scale}, {});
    finish({id_}, output(1) == kNone ? nodes_.back().outputs[0] : output(1), worker);
    if (output(0) != kNone) quantised_[output(0)] = {values, zero};
    if (output(2) != kNone) quantised_[output(2)] = {zero, kNone};
  }

 private:
  [[nodiscard]] TensorId input(std::size_t i) const { return i < node_.inputs.size() ? node_.inputs[i] : kNone; }
  [[nodiscard]] TensorId output(std::size_t i) const { return i < node_.outputs.size() ? node_.outputs[i] : kNone; }
  [[nodiscard]] const Shape& shape_of(TensorId id) const { return rewriter_.tensor(id).shape; }
  [[nodiscard]] int rank_of(TensorId id) const { return static_cast<int>(shape_of(id).size()); }

  TensorId add(const std::string& op, std::vector<TensorId> inputs, Shape shape,
               std::map<std::string, Attribute> attributes = {}) {
    return list_.add(op, std::move(inputs), std::move(shape), std::move(attributes));
  }
  TensorId constant(Shape shape, std::vector<float> values) {
    return rewriter_.add_constant(node_.name + ":constant" + std::to_string(constants_++),
                                  HostTensor{DataType::kFloat32, std::move(shape), std::move(values)});
  }
  TensorId scalar(float value) { return constant({}, {value}); }

  /// The last node makes `result`; the node at `worker` stands for the operator in the reports.
  void finish(std::vector<NodeId> matched, TensorId result, std::size_t worker) {
    nodes_.back().outputs[0] = result;
    for (const NodeId id : matched) {
      const auto& origins = rewriter_.node(id).origins;
      nodes_[worker].origins.insert(nodes_[worker].origins.end(), origins.begin(), origins.end());
    }
    rewriter_.replace(matched, std::move(nodes_));
  }

  /// Axis of a scale or zero point that is not one for all.
  [[nodiscard]] std::map<std::string, Attribute> along(TensorId parameter, int axis) const {
    if (rewriter_.tensor(parameter).elements() == 1) return {};
    return {{"axis", std::int64_t{axis}}};
  }

  /// Over all elements, an axis at a time: a tile of one axis fits where the whole tensor does not.
  TensorId extreme(const char* op, TensorId x) {
    for (auto axis = static_cast<std::int64_t>(rank_of(x)) - 1; axis >= 0; --axis) {
      Shape shape = shape_of(x);
      auto& extent = shape[static_cast<std::size_t>(axis)];
      if (extent == 1) continue;
      extent = 1;
      x = add(op, {x}, std::move(shape), {{"axes", std::vector<std::int64_t>{axis}}, {"keepdims", std::int64_t{1}}});
    }
    return rank_of(x) == 0 ? x : add("Reshape", {x}, {}, {{"shape", std::vector<std::int64_t>{}}});
  }

  TensorId dequantised(TensorId x, TensorId scale, TensorId zero, int axis) {
    std::vector<TensorId> inputs{x, scale};
    if (zero != kNone) inputs.push_back(zero);
    return add("DequantizeLinear", std::move(inputs), shape_of(x), along(scale, axis));
  }

  TensorId number(TensorId x) {
    const auto found = quantised_.find(x);
    if (found != quantised_.end()) return found->second.values;
    return add("Cast", {x}, shape_of(x), {{"to", kOnnxFloat}});
  }
  /// x less its zero point, which is one or one for each index of `axis`.
  TensorId centred(TensorId x, TensorId zero, int axis) {
    const TensorId values = number(x);
    if (zero == kNone || rewriter_.uniform(zero) == 0.0) return values;
    TensorId offset = number(zero);
    Shape aligned(static_cast<std::size_t>(rank_of(x)), 1);
    if (rewriter_.tensor(zero).elements() > 1)
      aligned[static_cast<std::size_t>(axis)] = rewriter_.tensor(zero).elements();
    if (!shape_of(offset).empty() && shape_of(offset) != aligned) {
      offset = add("Reshape", {offset}, aligned, {{"shape", std::vector<std::int64_t>(aligned)}});
    }
    return add("Sub", {values, offset}, shape_of(x));
  }

  /// (w - zero) scale as a constant, where all three are known; parameters may be one for each index of `axis`.
  TensorId weights(TensorId w, TensorId scale, TensorId zero, int axis) {
    const auto known = [&](TensorId id) {
      return id == kNone || (rewriter_.tensor(id).is_constant() && !rewriter_.tensor(id).constant->missing());
    };
    const auto fits = [&](TensorId id) {
      return id == kNone || rewriter_.tensor(id).elements() == 1 ||
             rewriter_.tensor(id).elements() == shape_of(w)[static_cast<std::size_t>(axis)];
    };
    if (!known(w) || !known(scale) || !known(zero) || !fits(scale) || !fits(zero)) {
      return scale == kNone ? centred(w, zero, axis) : dequantised(w, scale, zero, axis);
    }
    const Shape shape = shape_of(w);
    const HostTensor values = materialise(rewriter_.tensor(w));
    const auto scales = scale == kNone ? std::vector<float>{1.0F} : materialise(rewriter_.tensor(scale)).floats();
    const auto zeros = zero == kNone ? std::vector<std::int64_t>{0} : materialise(rewriter_.tensor(zero)).ints();
    const std::int64_t inner = elements_of(Shape(shape.begin() + axis + 1, shape.end()));
    const std::int64_t extent = shape[static_cast<std::size_t>(axis)];
    std::vector<float> numbers(values.ints().size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto at = static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner % extent);
      numbers[i] = static_cast<float>(values.ints()[i] - zeros[zeros.size() == 1 ? 0 : at]) *
                   scales[scales.size() == 1 ? 0 : at];
    }
    return constant(shape, std::move(numbers));
  }

  /// A QLinearConv's bias is in steps of x_scale w_scale. nullopt: what that is depends on data.
  std::optional<TensorId> bias() {
    const auto steps = rewriter_.value(input(8)), w_scale = rewriter_.value(input(4));
    const auto x_scale = rewriter_.scalar(input(1));
    if (!steps || !w_scale || !x_scale) return std::nullopt;
    std::vector<float> numbers;
    for (std::size_t i = 0; i < steps->ints().size(); ++i) {
      const float s = w_scale->floats()[w_scale->held() == 1 ? 0 : i];
      numbers.push_back(static_cast<float>(static_cast<double>(steps->ints()[i]) * *x_scale * s));
    }
    return constant(steps->shape, std::move(numbers));
  }

  Rewriter& rewriter_;
  std::map<TensorId, Quantised>& quantised_;
  const NodeId id_;
  const Node node_;
  NodeList list_;
  std::vector<Node>& nodes_ = list_.nodes();
  int constants_ = 0;
};

}  // namespace

bool has_integer_operators(const Graph& exported) {
  return std::any_of(exported.nodes.begin(), exported.nodes.end(), [](const Node& node) {
    return !node.folded && (node.op == "QLinearConv" || node.op == "QLinearMatMul" || node.op == "ConvInteger" ||
                            node.op == "MatMulInteger");
  });
}

void expand_integer_operators(Rewriter& rewriter) {
  std::map<TensorId, Quantised> quantised;
  for (const NodeId id : rewriter.nodes()) {
    if (!rewriter.alive(id)) continue;
    const std::string op = rewriter.node(id).op;
    Expansion expansion(rewriter, quantised, id);
    if (op == "QLinearConv" || op == "QLinearMatMul") {
      expansion.qlinear(op == "QLinearConv");
    } else if (op == "ConvInteger" || op == "MatMulInteger") {
      expansion.integer(op == "ConvInteger");
    } else if (op == "DynamicQuantizeLinear") {
      expansion.dynamic();
    }
  }
}

}  // namespace spillway::workloads
