// RNN, GRU and LSTM, formulas and defaults as the ONNX operator specification has them (opset 7 on; layout since 14).
// The NPU runs them unrolled (canonical/recurrent.cpp), so they have no executable form here.
#include "workloads/operators/recurrent.h"

#include <Eigen/Core>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <iterator>
#include <optional>
#include <string_view>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

using namespace recurrent;

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Array = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMatrix = Eigen::Map<const Matrix>;

// --- what the node says ---

Recurrent kind_of(const Node& node) {
  Recurrent form;
  if (node.op == "LSTM") {
    form.gates = 4;
    form.functions = 3;
    form.has_cell = true;
  } else if (node.op == "GRU") {
    form.gates = 3;
    form.functions = 2;
  }
  return form;
}

/// Parameters that a function has, and what they are where none are given.
struct KnownFunction {
  std::string_view name;
  std::optional<float> alpha, beta;
};

constexpr KnownFunction kFunctions[] = {
    {"sigmoid", {}, {}},        {"tanh", {}, {}},
    {"relu", {}, {}},           {"softsign", {}, {}},
    {"softplus", {}, {}},       {"affine", 1.0F, 0.0F},
    {"scaledtanh", 1.0F, 1.0F}, {"hardsigmoid", 0.2F, 0.5F},
    {"leakyrelu", 0.01F, {}},   {"thresholdedrelu", 1.0F, {}},
    {"elu", 1.0F, {}},
};

void infer(InferContext& context) {
  const Node& node = context.node;
  const Graph& graph = context.graph;
  const Recurrent kind = kind_of(node);
  check_arity(context, 3, kind.has_cell ? 8 : 6, kind.has_cell ? 3 : 2);
  check_float_input(context, kX);
  const Recurrent form = read_recurrent(graph, node);
  const auto check = [&](int i, const Shape& wanted) {
    if (!graph.has_input(node, i) || graph.input(node, i).shape == wanted) return;
    bad_node(node, "input " + std::to_string(i) + " is " + to_string(graph.input(node, i).shape) +
                       " when it should be " + to_string(wanted));
  };
  check(kB, {form.directions, 2 * form.gates * form.hidden});
  check(kLengths, {form.batch});
  if (graph.has_input(node, kLengths)) check_integer_input(context, kLengths);
  check(kInitialHidden, form.state_shape());
  check(kInitialCell, form.state_shape());
  check(kPeephole, {form.directions, 3 * form.hidden});
  const DataType type = graph.input(node, kX).type;
  set_output(context, 0, type, form.output_shape());
  set_output(context, 1, type, form.state_shape());
  set_output(context, 2, type, form.state_shape());
}

// --- activations ---

using Activation = std::function<void(Array&)>;

void sigmoid(Array& x) { x = 1.0F / (1.0F + (-x).exp()); }
void tanh_of(Array& x) { x = x.tanh(); }

Activation activation_of(const GateFunction& function) {
  const auto each = [](auto f) { return [f](Array& x) { x = x.unaryExpr(f); }; };
  const auto& name = function.name;
  const float a = function.alpha, b = function.beta;
  if (name == "sigmoid") return sigmoid;
  if (name == "tanh") return tanh_of;
  if (name == "relu") return [](Array& x) { x = x.max(0.0F); };
  if (name == "softsign") return [](Array& x) { x = x / (1.0F + x.abs()); };
  if (name == "softplus") return each([](float x) { return std::max(x, 0.0F) + std::log1p(std::exp(-std::abs(x))); });
  if (name == "affine") return [a, b](Array& x) { x = a * x + b; };
  if (name == "scaledtanh") return [a, b](Array& x) { x = a * (b * x).tanh(); };
  if (name == "hardsigmoid") return [a, b](Array& x) { x = (a * x + b).max(0.0F).min(1.0F); };
  if (name == "leakyrelu") return each([a](float x) { return x < 0 ? a * x : x; });
  if (name == "thresholdedrelu") return each([a](float x) { return x > a ? x : 0.0F; });
  return each([a](float x) { return x < 0 ? a * (std::exp(x) - 1.0F) : x; });  // elu
}

// --- one direction ---

struct Weights {
  ConstMatrix w, r;
  Eigen::Map<const Eigen::RowVectorXf> wb, rb;    // zero length: no bias
  Eigen::Map<const Eigen::RowVectorXf> peephole;  // i, o, f
};

struct State {
  Matrix hidden, cell;  // [batch, hidden]
};

class Cell {
 public:
  Cell(const Node& node, Weights weights, std::span<const Activation> activations)
      : node_(node), weights_(std::move(weights)), f_(activations) {
    clip_ = node.real("clip", 0.0F);
    coupled_ = node.integer("input_forget", 0) != 0;
    linear_before_reset_ = node.integer("linear_before_reset", 0) != 0;
  }

  /// What the input contributes to all gates of all rows: x W^T + Wb + (for all but a GRU's hidden gate) Rb.
  [[nodiscard]] Matrix from_input(const ConstMatrix& x) const {
    Matrix all = x * weights_.w.transpose();
    if (weights_.wb.size() > 0) all.rowwise() += weights_.wb;
    if (weights_.rb.size() > 0 && node_.op != "GRU") all.rowwise() += weights_.rb;
    return all;
  }

  void step(const Eigen::Ref<const Matrix>& input, State& state) const {
    if (node_.op == "LSTM") return lstm(input, state);
    if (node_.op == "GRU") return gru(input, state);
    Array next = (input + state.hidden * weights_.r.transpose()).array();
    apply(f_[0], next);
    state.hidden = next.matrix();
  }

 private:
  void apply(const Activation& f, Array& x) const {
    if (clip_ > 0.0F) x = x.max(-clip_).min(clip_);
    f(x);
  }

  void lstm(const Eigen::Ref<const Matrix>& input, State& state) const {
    const auto h = state.hidden.cols();
    const Matrix gates = input + state.hidden * weights_.r.transpose();  // i, o, f, c
    const bool peephole = weights_.peephole.size() > 0;
    const auto peep = [&](Array& gate, int k, const Matrix& cell) {
      if (peephole) gate += cell.array().rowwise() * weights_.peephole.segment(k * h, h).array();
    };
    Array i = gates.leftCols(h).array();
    peep(i, 0, state.cell);
    apply(f_[0], i);
    Array f = 1.0F - i;
    if (!coupled_) {
      f = gates.middleCols(2 * h, h).array();
      peep(f, 2, state.cell);
      apply(f_[0], f);
    }
    Array c = gates.rightCols(h).array();
    apply(f_[1], c);
    state.cell = (f * state.cell.array() + i * c).matrix();
    Array o = gates.middleCols(h, h).array();
    peep(o, 1, state.cell);
    apply(f_[0], o);
    Array out = state.cell.array();
    f_[2](out);
    state.hidden = (o * out).matrix();
  }

  void gru(const Eigen::Ref<const Matrix>& input, State& state) const {
    const auto h = state.hidden.cols();
    const bool bias = weights_.rb.size() > 0;
    Matrix gates = state.hidden * weights_.r.topRows(2 * h).transpose();  // z, r
    if (bias) gates.rowwise() += weights_.rb.head(2 * h);
    Array z = (input.leftCols(h) + gates.leftCols(h)).array();
    Array r = (input.middleCols(h, h) + gates.rightCols(h)).array();
    apply(f_[0], z);
    apply(f_[0], r);
    Matrix recurrent;
    if (linear_before_reset_) {
      recurrent = state.hidden * weights_.r.bottomRows(h).transpose();
      if (bias) recurrent.rowwise() += weights_.rb.tail(h);
      recurrent = (r * recurrent.array()).matrix();
    } else {
      recurrent = (r * state.hidden.array()).matrix() * weights_.r.bottomRows(h).transpose();
      if (bias) recurrent.rowwise() += weights_.rb.tail(h);
    }
    Array next = (input.rightCols(h) + recurrent).array();
    apply(f_[1], next);
    state.hidden = ((1.0F - z) * next + z * state.hidden.array()).matrix();
  }

  const Node& node_;
  Weights weights_;
  std::span<const Activation> f_;
  float clip_ = 0.0F;
  bool coupled_ = false;
  bool linear_before_reset_ = false;
};

/// Positions of tensors whose axes depend on `layout`.
struct Places {
  const Recurrent& s;
  [[nodiscard]] std::int64_t x(std::int64_t t, std::int64_t b) const {
    return (s.batch_first ? b * s.steps + t : t * s.batch + b) * s.input;
  }
  [[nodiscard]] std::int64_t state(std::int64_t d, std::int64_t b) const {
    return (s.batch_first ? b * s.directions + d : d * s.batch + b) * s.hidden;
  }
  [[nodiscard]] std::int64_t y(std::int64_t t, std::int64_t d, std::int64_t b) const {
    return (s.batch_first ? (b * s.steps + t) * s.directions + d : (t * s.directions + d) * s.batch + b) * s.hidden;
  }
};

Matrix initial(const Recurrent& s, const HostTensor* given, std::int64_t direction) {
  Matrix state = Matrix::Zero(s.batch, s.hidden);
  const Places places{s};
  for (std::int64_t b = 0; given != nullptr && b < s.batch; ++b) {
    std::copy_n(given->floats().data() + places.state(direction, b), s.hidden, state.row(b).data());
  }
  return state;
}

std::vector<HostTensor> evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const Recurrent s = read_recurrent(graph, node);
  const Places places{s};
  const DataType type = inputs[kX]->type;
  std::vector<HostTensor> results;
  results.push_back(make_tensor(type, s.output_shape()));
  results.push_back(make_tensor(type, s.state_shape()));
  if (s.has_cell) results.push_back(make_tensor(type, s.state_shape()));

  std::vector<Activation> activations;
  for (const GateFunction& function : gate_functions(node, s)) activations.push_back(activation_of(function));

  std::vector<std::int64_t> lengths(static_cast<std::size_t>(s.batch), s.steps);
  if (const HostTensor* given = optional_input(inputs, kLengths)) lengths = given->ints();
  for (const std::int64_t length : lengths) {
    if (length < 0 || length > s.steps) {
      bad_node(node,
               "a sequence of " + std::to_string(length) + " when there are " + std::to_string(s.steps) + " steps");
    }
  }
  Matrix rows(s.batch * s.steps, s.input);  // [batch, step] whatever the layout
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t t = 0; t < s.steps; ++t) {
      std::copy_n(inputs[kX]->floats().data() + places.x(t, b), s.input, rows.row(b * s.steps + t).data());
    }
  }
  const std::int64_t gate_rows = s.gates * s.hidden;
  for (std::int64_t d = 0; d < s.directions; ++d) {
    const HostTensor* bias = optional_input(inputs, kB);
    const HostTensor* peephole = optional_input(inputs, kPeephole);
    const float* b = bias == nullptr ? nullptr : bias->floats().data() + d * 2 * gate_rows;
    const float* p = peephole == nullptr ? nullptr : peephole->floats().data() + d * 3 * s.hidden;
    const auto bias_size = b == nullptr ? 0 : gate_rows;
    const Cell cell(node,
                    {ConstMatrix(inputs[kW]->floats().data() + d * gate_rows * s.input, gate_rows, s.input),
                     ConstMatrix(inputs[kR]->floats().data() + d * gate_rows * s.hidden, gate_rows, s.hidden),
                     {b, bias_size},
                     {b == nullptr ? nullptr : b + gate_rows, bias_size},
                     {p, p == nullptr ? 0 : 3 * s.hidden}},
                    std::span<const Activation>(activations)
                        .subspan(static_cast<std::size_t>(d * s.functions), static_cast<std::size_t>(s.functions)));
    const Matrix projected = cell.from_input(ConstMatrix(rows.data(), rows.rows(), rows.cols()));
    State state{initial(s, optional_input(inputs, kInitialHidden), d),
                initial(s, optional_input(inputs, kInitialCell), d)};
    const bool backwards = s.reverse || d == 1;
    Matrix input(s.batch, gate_rows);
    for (std::int64_t k = 0; k < s.steps; ++k) {
      // Backwards means from each sequence's own end.
      const auto step_of = [&](std::int64_t n) { return backwards ? lengths[n] - 1 - k : k; };
      for (std::int64_t n = 0; n < s.batch; ++n) {
        if (k < lengths[n]) input.row(n) = projected.row(n * s.steps + step_of(n));
      }
      State next = state;
      cell.step(input, next);
      for (std::int64_t n = 0; n < s.batch; ++n) {
        if (k >= lengths[n]) continue;  // the state stays, the output is zero
        state.hidden.row(n) = next.hidden.row(n);
        state.cell.row(n) = next.cell.row(n);
        std::copy_n(state.hidden.row(n).data(), s.hidden, results[0].floats().data() + places.y(step_of(n), d, n));
      }
    }
    for (std::int64_t n = 0; n < s.batch; ++n) {
      std::copy_n(state.hidden.row(n).data(), s.hidden, results[1].floats().data() + places.state(d, n));
      if (s.has_cell) {
        std::copy_n(state.cell.row(n).data(), s.hidden, results[2].floats().data() + places.state(d, n));
      }
    }
  }
  return results;
}

constexpr OpDef kOperators[] = {
    host_operator("RNN", infer, evaluate),
    host_operator("GRU", infer, evaluate),
    host_operator("LSTM", infer, evaluate),
};

}  // namespace

Shape Recurrent::output_shape() const {
  return batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden};
}

Shape Recurrent::state_shape() const {
  return batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
}

Recurrent read_recurrent(const Graph& graph, const Node& node) {
  Recurrent form = kind_of(node);
  const Shape& x = graph.input(node, kX).shape;
  const Shape& w = graph.input(node, kW).shape;
  const Shape& r = graph.input(node, kR).shape;
  const std::string direction = node.text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
    bad_node(node, "direction '" + direction + "' is not one of forward, reverse, bidirectional");
  }
  if (x.size() != 3 || w.size() != 3 || r.size() != 3) bad_node(node, "X, W and R should have rank 3");
  form.directions = direction == "bidirectional" ? 2 : 1;
  form.reverse = direction == "reverse";
  form.batch_first = node.integer("layout", 0) != 0;
  form.steps = x[form.batch_first ? 1 : 0];
  form.batch = x[form.batch_first ? 0 : 1];
  form.input = x[2];
  form.hidden = r[2];
  const Shape wanted_w{form.directions, form.gates * form.hidden, form.input};
  const Shape wanted_r{form.directions, form.gates * form.hidden, form.hidden};
  if (w != wanted_w || r != wanted_r || node.integer("hidden_size", form.hidden) != form.hidden) {
    bad_node(node, "W " + to_string(w) + " and R " + to_string(r) + " do not go with an input of " + to_string(x) +
                       " and hidden_size " + std::to_string(node.integer("hidden_size", form.hidden)));
  }
  return form;
}

std::vector<GateFunction> gate_functions(const Node& node, const Recurrent& form) {
  std::vector<std::string> names;
  if (const auto given = node.attributes.find("activations"); given != node.attributes.end()) {
    if (const auto* list = std::get_if<std::vector<std::string>>(&given->second)) names = *list;
  }
  if (names.empty()) {
    for (std::int64_t d = 0; d < form.directions; ++d) {
      if (form.gates > 1) names.emplace_back("sigmoid");
      for (int k = form.gates > 1 ? 1 : 0; k < form.functions; ++k) names.emplace_back("tanh");
    }
  }
  if (static_cast<std::int64_t>(names.size()) != form.directions * form.functions) {
    bad_node(node, std::to_string(names.size()) + " activations when " +
                       std::to_string(form.directions * form.functions) + " are needed");
  }
  // Parameters are listed for those functions only that take one, in their order.
  const std::vector<float> alphas = node.reals("activation_alpha"), betas = node.reals("activation_beta");
  std::size_t alpha = 0, beta = 0;
  const auto take = [](const std::vector<float>& from, std::size_t& next, float fallback) {
    return next < from.size() ? from[next++] : fallback;
  };
  std::vector<GateFunction> functions;
  for (std::string& name : names) {
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto known = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                    [&](const KnownFunction& function) { return function.name == name; });
    if (known == std::end(kFunctions)) bad_node(node, "activation '" + name + "' is not known");
    GateFunction function{.name = name};
    if (known->alpha) function.alpha = take(alphas, alpha, *known->alpha);
    if (known->beta) function.beta = take(betas, beta, *known->beta);
    functions.push_back(std::move(function));
  }
  return functions;
}

std::span<const OpDef> recurrent_operators() { return kOperators; }

}  // namespace spillway::workloads
