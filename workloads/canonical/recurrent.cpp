// RNN, GRU and LSTM, step by step: one product for what the inputs of all steps contribute, then for each step a
// product with the last hidden state and the gates. A machine without control flow runs them so; the products of all
// steps read the same weights, which a plan may keep or bring in again. Formulas as in operators/recurrent.cpp.
#include "workloads/operators/recurrent.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "workloads/canonical/node_list.h"
#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

using namespace recurrent;

class Unrolling {
 public:
  Unrolling(Rewriter& rewriter, NodeId id)
      : rewriter_(rewriter),
        node_(rewriter.node(id)),
        form_(read_recurrent(rewriter.graph(), node_)),
        functions_(gate_functions(node_, form_)),
        list_(rewriter, node_.name, rewriter.tensor(node_.outputs[first_output()]).type) {}

  std::vector<Node> run() {
    TensorId x = node_.inputs[kX];
    if (form_.batch_first) x = transposed(x, {1, 0, 2}, {form_.steps, form_.batch, form_.input});
    x = reshaped(x, {form_.steps * form_.batch, form_.input});
    std::vector<TensorId> outputs, hidden, cells;
    for (std::int64_t d = 0; d < form_.directions; ++d) {
      const States last = direction(x, d, outputs);
      hidden.push_back(reshaped(last.hidden, {1, form_.batch, form_.hidden}));
      if (form_.has_cell) cells.push_back(reshaped(last.cell, {1, form_.batch, form_.hidden}));
    }
    if (wanted(0)) {
      // [steps, directions, batch, hidden], or [batch, steps, directions, hidden]
      const TensorId all = joined(outputs, 1, {form_.steps, form_.directions, form_.batch, form_.hidden});
      finish(0, form_.batch_first ? transposed(all, {2, 0, 1, 3}, form_.output_shape()) : all);
    }
    for (const auto& [i, states] : {std::pair{1, hidden}, std::pair{2, cells}}) {
      if (!wanted(static_cast<std::size_t>(i))) continue;
      const TensorId all = joined(states, 0, {form_.directions, form_.batch, form_.hidden});
      finish(static_cast<std::size_t>(i), form_.batch_first ? transposed(all, {1, 0, 2}, form_.state_shape()) : all);
    }
    nodes_[first_product_].origins = node_.origins;
    return std::move(nodes_);
  }

 private:
  struct States {
    TensorId hidden = kNone, cell = kNone;  ///< [batch, hidden]; kNone: zero
  };

  [[nodiscard]] bool wanted(std::size_t i) const { return i < node_.outputs.size() && node_.outputs[i] != kNone; }
  [[nodiscard]] bool has(int i) const { return rewriter_.graph().has_input(node_, i); }
  [[nodiscard]] const GateFunction& function(int k) const {
    return functions_[static_cast<std::size_t>(direction_ * form_.functions + k)];
  }

  // --- nodes ---

  TensorId add(const std::string& op, std::vector<TensorId> inputs, Shape shape,
               std::map<std::string, Attribute> attributes = {}) {
    return list_.add(op, std::move(inputs), std::move(shape), std::move(attributes));
  }
  [[nodiscard]] std::size_t first_output() const {
    std::size_t i = 0;
    while (!wanted(i)) ++i;
    return i;
  }
  TensorId elementwise(const std::string& op, std::vector<TensorId> inputs,
                       std::map<std::string, Attribute> attributes = {}) {
    Shape shape = rewriter_.tensor(inputs[0]).shape;
    for (const TensorId input : inputs) {
      const Shape& other = rewriter_.tensor(input).shape;
      if (other.size() > shape.size()) shape = other;
    }
    return add(op, std::move(inputs), std::move(shape), std::move(attributes));
  }
  TensorId transposed(TensorId x, std::vector<std::int64_t> perm, Shape shape) {
    return add("Transpose", {x}, std::move(shape), {{"perm", std::move(perm)}});
  }
  TensorId reshaped(TensorId x, const Shape& shape) {
    if (rewriter_.tensor(x).shape == shape) return x;
    return add("Reshape", {x}, shape, {{"shape", std::vector<std::int64_t>(shape)}});
  }
  TensorId sliced(TensorId x, std::int64_t axis, std::int64_t from, std::int64_t count) {
    Shape shape = rewriter_.tensor(x).shape;
    const auto a = static_cast<std::size_t>(axis);
    if (from == 0 && count == shape[a]) return x;
    shape[a] = count;
    return add("Slice", {x}, std::move(shape),
               {{"axes", std::vector<std::int64_t>{axis}},
                {"starts", std::vector<std::int64_t>{from}},
                {"ends", std::vector<std::int64_t>{from + count}}});
  }
  /// Parts of equal shape; `whole` is the shape of all. In two levels where there are many: what asks a Concat for a
  /// part goes through those before it.
  TensorId joined(const std::vector<TensorId>& parts, std::int64_t axis, const Shape& whole) {
    constexpr std::size_t kMany = 16;
    if (parts.size() == 1) return reshaped(parts[0], whole);
    if (parts.size() <= kMany) return add("Concat", parts, whole, {{"axis", axis}});
    std::vector<TensorId> blocks;
    for (std::size_t first = 0; first < parts.size(); first += kMany) {
      const std::vector<TensorId> block(parts.begin() + first, parts.begin() + std::min(first + kMany, parts.size()));
      Shape shape = whole;
      shape[axis] = static_cast<std::int64_t>(block.size()) * rewriter_.tensor(block[0]).shape[axis];
      blocks.push_back(joined(block, axis, shape));
    }
    return add("Concat", blocks, whole, {{"axis", axis}});
  }
  void finish(std::size_t i, TensorId result) {
    add("Identity", {result}, rewriter_.tensor(result).shape);
    nodes_.back().outputs[0] = node_.outputs[i];
  }
  TensorId scalar(float value) {
    const auto [found, fresh] = scalars_.try_emplace(value, kNone);
    if (fresh) {
      const DataType type = rewriter_.tensor(node_.outputs[first_output()]).type;
      found->second = rewriter_.add_constant(node_.name + ":constant" + std::to_string(scalars_.size()),
                                             HostTensor{type, {}, std::vector<float>{value}});
    }
    return found->second;
  }

  // --- operands ---

  /// Rows [from, from + count) of direction `d` of a tensor [directions, rows, ...]; one tensor for all who ask.
  TensorId piece(TensorId x, std::int64_t d, std::int64_t from, std::int64_t count, const Shape& shape) {
    const auto [found, fresh] = pieces_.try_emplace({x, d, from, count}, kNone);
    if (!fresh) return found->second;
    const Shape whole = rewriter_.tensor(x).shape;
    if (rewriter_.tensor(x).is_constant()) {
      const std::int64_t row = elements_of(whole) / (whole[0] * whole[1]);
      return found->second = rewriter_.part(x, (d * whole[1] + from) * row, shape);
    }
    return found->second = reshaped(sliced(sliced(x, 0, d, 1), 1, from, count), shape);
  }
  TensorId initial(int input) {
    // Exporters write zeros where nothing is given.
    if (!has(input) || rewriter_.uniform(node_.inputs[static_cast<std::size_t>(input)]) == 0.0) return kNone;
    TensorId all = node_.inputs[static_cast<std::size_t>(input)];
    const Shape directions_first{form_.directions, form_.batch, form_.hidden};
    if (form_.batch_first) {
      all = form_.directions == 1 ? reshaped(all, directions_first) : transposed(all, {1, 0, 2}, directions_first);
    }
    return piece(all, direction_, 0, form_.batch, {form_.batch, form_.hidden});
  }
  /// Biases of gates [first, first + gates): the input's lie before the recurrent ones. kNone: there are none.
  TensorId bias(bool of_input, int first, int gates) {
    if (!has(kB)) return kNone;
    const std::int64_t h = form_.hidden;
    return piece(node_.inputs[kB], direction_, (of_input ? first : form_.gates + first) * h, gates * h, {gates * h});
  }
  TensorId plus(TensorId a, TensorId b) { return a == kNone ? b : b == kNone ? a : elementwise("Add", {a, b}); }

  /// a [m, k] times rows [first, first + gates) of W or R, transposed, plus their biases.
  TensorId product(TensorId a, int weights, int first, int gates) {
    const std::int64_t rows = gates * form_.hidden, k = rewriter_.tensor(a).shape[1];
    const TensorId b =
        piece(node_.inputs[static_cast<std::size_t>(weights)], direction_, first * form_.hidden, rows, {rows, k});
    std::vector<TensorId> inputs{a, b};
    if (const TensorId c = bias(weights == kW, first, gates); c != kNone) inputs.push_back(c);
    const Shape shape{rewriter_.tensor(a).shape[0], rows};
    const TensorId result = add("Gemm", std::move(inputs), shape, {{"transB", std::int64_t{1}}});
    if (weights == kW && direction_ == 0) first_product_ = nodes_.size() - 1;
    return result;
  }
  /// What the hidden state contributes to gates [first, first + gates). kNone: nothing.
  TensorId recurrent(TensorId hidden, int first, int gates) {
    return hidden == kNone ? bias(false, first, gates) : product(hidden, kR, first, gates);
  }
  TensorId gates(TensorId all, int first, int count) {
    return sliced(all, 1, first * form_.hidden, count * form_.hidden);
  }

  // --- one step ---

  TensorId applied(const GateFunction& f, TensorId x) {
    static const std::map<std::string, std::string> operators = {
        {"sigmoid", "Sigmoid"},     {"tanh", "Tanh"},         {"relu", "Relu"},
        {"softsign", "Softsign"},   {"softplus", "Softplus"}, {"hardsigmoid", "HardSigmoid"},
        {"leakyrelu", "LeakyRelu"}, {"elu", "Elu"},           {"thresholdedrelu", "ThresholdedRelu"}};
    if (f.name == "affine") {
      return elementwise("Add", {elementwise("Mul", {x, scalar(f.alpha)}), scalar(f.beta)});
    }
    if (f.name == "scaledtanh") {
      return elementwise("Mul", {elementwise("Tanh", {elementwise("Mul", {x, scalar(f.beta)})}), scalar(f.alpha)});
    }
    std::map<std::string, Attribute> attributes;
    for (const char* name : {"hardsigmoid", "leakyrelu", "elu", "thresholdedrelu"}) {
      if (f.name == name) attributes["alpha"] = f.alpha;
    }
    if (f.name == "hardsigmoid") attributes["beta"] = f.beta;
    return elementwise(operators.at(f.name), {x}, std::move(attributes));
  }

  /// A gate's sum, clipped where the node says so: the cell on its way out is not, as in ONNX Runtime.
  TensorId gate_of(const GateFunction& f, TensorId sum) {
    const float clip = node_.real("clip", 0.0F);
    return applied(f, clip > 0.0F ? elementwise("Clip", {sum}, {{"min", -clip}, {"max", clip}}) : sum);
  }

  /// A gate with what its peephole adds.
  TensorId peeped(TensorId gate, int k, TensorId cell) {
    if (!has(kPeephole) || cell == kNone) return gate;
    const std::int64_t h = form_.hidden;
    const TensorId weights = piece(node_.inputs[kPeephole], direction_, k * h, h, {h});
    return elementwise("Add", {gate, elementwise("Mul", {cell, weights})});
  }

  States lstm(TensorId input, const States& last) {
    const bool coupled = node_.integer("input_forget", 0) != 0;
    const TensorId all = plus(input, recurrent(last.hidden, 0, 4));  // i, o, f, c
    TensorId i = kNone, o = kNone, f = kNone;
    if (!has(kPeephole)) {
      // One pass for all gates of one function.
      const TensorId ready = gate_of(function(0), gates(all, 0, coupled ? 2 : 3));
      i = gates(ready, 0, 1);
      o = gates(ready, 1, 1);
      f = coupled ? kNone : gates(ready, 2, 1);
    } else {
      i = gate_of(function(0), peeped(gates(all, 0, 1), 0, last.cell));
      f = coupled ? kNone : gate_of(function(0), peeped(gates(all, 2, 1), 2, last.cell));
    }
    if (coupled && last.cell != kNone) f = elementwise("Sub", {scalar(1.0F), i});
    const TensorId candidate = gate_of(function(1), gates(all, 3, 1));
    const TensorId kept = last.cell == kNone ? kNone : elementwise("Mul", {f, last.cell});
    States next;
    next.cell = plus(kept, elementwise("Mul", {i, candidate}));
    if (o == kNone) o = gate_of(function(0), peeped(gates(all, 1, 1), 1, next.cell));
    next.hidden = elementwise("Mul", {o, applied(function(2), next.cell)});
    return next;
  }

  States gru(TensorId input, const States& last) {
    const TensorId both = gate_of(function(0), plus(gates(input, 0, 2), recurrent(last.hidden, 0, 2)));
    const TensorId z = gates(both, 0, 1), r = gates(both, 1, 1);
    TensorId h = kNone;
    if (node_.integer("linear_before_reset", 0) != 0) {
      h = recurrent(last.hidden, 2, 1);
      if (h != kNone) h = elementwise("Mul", {r, h});
    } else {
      h = recurrent(last.hidden == kNone ? kNone : elementwise("Mul", {r, last.hidden}), 2, 1);
    }
    const TensorId n = gate_of(function(1), plus(gates(input, 2, 1), h));
    // (1 - z) n + z h
    if (last.hidden == kNone) return {elementwise("Sub", {n, elementwise("Mul", {z, n})}), kNone};
    const TensorId change = elementwise("Mul", {z, elementwise("Sub", {last.hidden, n})});
    return {elementwise("Add", {n, change}), kNone};
  }

  States rnn(TensorId input, const States& last) {
    return {gate_of(function(0), plus(input, recurrent(last.hidden, 0, 1))), kNone};
  }

  /// All steps of direction `d`; what they give joins `outputs` as [steps, 1, batch, hidden].
  States direction(TensorId x, std::int64_t d, std::vector<TensorId>& outputs) {
    direction_ = d;
    const bool backwards = form_.reverse || d == 1;
    const TensorId inputs = product(x, kW, 0, form_.gates);
    States state{initial(kInitialHidden), form_.has_cell ? initial(kInitialCell) : kNone};
    std::vector<TensorId> hidden(static_cast<std::size_t>(form_.steps));
    for (std::int64_t k = 0; k < form_.steps; ++k) {
      const std::int64_t t = backwards ? form_.steps - 1 - k : k;
      const TensorId input = sliced(inputs, 0, t * form_.batch, form_.batch);
      state = form_.has_cell ? lstm(input, state) : form_.gates == 3 ? gru(input, state) : rnn(input, state);
      hidden[static_cast<std::size_t>(t)] = state.hidden;
    }
    const TensorId all = joined(hidden, 0, {form_.steps * form_.batch, form_.hidden});
    outputs.push_back(reshaped(all, {form_.steps, 1, form_.batch, form_.hidden}));
    return state;
  }

  Rewriter& rewriter_;
  const Node node_;
  const Recurrent form_;
  const std::vector<GateFunction> functions_;
  std::int64_t direction_ = 0;
  NodeList list_;
  std::vector<Node>& nodes_ = list_.nodes();
  std::map<std::tuple<TensorId, std::int64_t, std::int64_t, std::int64_t>, TensorId> pieces_;
  std::map<float, TensorId> scalars_;
  std::size_t first_product_ = 0;  ///< of nodes_; it stands for the node in the reports
};

/// A graph of more nodes would be planned for minutes.
constexpr std::int64_t kMostSteps = 1024;

bool unrolls(const Rewriter& rewriter, const Node& node) {
  if (node.op != "RNN" && node.op != "GRU" && node.op != "LSTM") return false;
  const Recurrent form = read_recurrent(rewriter.graph(), node);
  if (form.steps < 1 || form.batch < 1 || form.hidden < 1 || form.input < 1) return false;
  if (form.steps * form.directions > kMostSteps) return false;
  // Sequences that end early need their lengths as data.
  return !rewriter.graph().has_input(node, kLengths) ||
         rewriter.uniform(node.inputs[kLengths]) == static_cast<double>(form.steps);
}

}  // namespace

void unroll_recurrences(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (unrolls(rewriter, rewriter.node(id))) rewriter.replace(std::vector{id}, Unrolling(rewriter, id).run());
  }
}

}  // namespace spillway::workloads
