// Einsum. Of one or two operands without diagonals it is canonicalised to transpositions and one product, so it has no
// kernel of its own.
#include "workloads/operators/einsum.h"

#include <algorithm>
#include <cctype>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

constexpr std::string_view kEllipsis = "...";

bool is_label(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// The labels of one term, an ellipsis replaced by `ellipsis` axes of its own.
std::string labels_of(const Node& node, const std::string& term, std::size_t ellipsis, bool repeats) {
  std::string labels;
  bool seen = false;
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (term.compare(i, kEllipsis.size(), kEllipsis) == 0 && !seen) {
      for (std::size_t k = ellipsis; k > 0; --k) labels.push_back(static_cast<char>(k));
      seen = true;
      i += kEllipsis.size() - 1;
    } else if (is_label(term[i])) {
      if (!repeats && labels.find(term[i]) != std::string::npos) {
        bad_node(node, std::string("names the axis '") + term[i] + "' twice in its result '" + term + "'");
      }
      labels.push_back(term[i]);
    } else {
      bad_node(node, "equation has '" + std::string(1, term[i]) + "' where an axis is expected");
    }
  }
  return labels;
}

std::size_t letters_of(const std::string& term) {
  return static_cast<std::size_t>(std::count_if(term.begin(), term.end(), is_label));
}
bool has_ellipsis(const std::string& term) { return term.find(kEllipsis) != std::string::npos; }

std::vector<std::string> split_terms(const std::string& left) {
  std::vector<std::string> terms(1);
  for (const char c : left) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back().push_back(c);
    }
  }
  return terms;
}

/// Without "->": the ellipsis, then the labels that stand once, in alphabetical order.
std::string implied_output(const std::vector<std::string>& terms) {
  std::string all;
  for (const std::string& term : terms) all += term;
  std::string once;
  for (const char c : all) {
    const bool ellipsis = !is_label(c);
    if (ellipsis ? once.find(c) == std::string::npos : std::count(all.begin(), all.end(), c) == 1) once.push_back(c);
  }
  std::sort(once.begin(), once.end(), [](char a, char b) {
    return is_label(a) != is_label(b) ? is_label(b) : is_label(a) ? a < b : a > b;
  });
  return once;
}

void infer(InferContext& context) {
  check_arity(context, 1, 64);
  Graph& graph = context.graph;
  const Node& node = context.node;
  const Einsum einsum = read_einsum(graph, node);
  check_float_input(context, 0);
  for (int i = 1; i < static_cast<int>(node.inputs.size()); ++i) {
    if (!graph.has_input(node, i)) bad_node(node, "has an empty input");
    if (graph.input(node, i).type != graph.input(node, 0).type) bad_node(node, "its operands are of different types");
  }
  set_output(context, 0, graph.input(node, 0).type, einsum.shape_of(einsum.output));
}

/// How far a step along each label moves in a dense tensor; 0 for labels that it does not have.
std::vector<std::int64_t> steps_of(const std::string& order, const std::string& labels, const Einsum& einsum) {
  std::vector<std::int64_t> steps(order.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t d = labels.size(); d-- > 0;) {
    steps[order.find(labels[d])] += stride;  // both steps of a diagonal
    stride *= einsum.extent.at(labels[d]);
  }
  return steps;
}

std::vector<HostTensor> evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const Einsum einsum = read_einsum(graph, node);
  std::string order = einsum.output;  // the output's labels outermost, then those that are summed over
  for (const auto& [label, extent] : einsum.extent) {
    if (!einsum.in_output(label)) order.push_back(label);
  }
  std::vector<std::vector<std::int64_t>> steps;
  for (const std::string& term : einsum.terms) steps.push_back(steps_of(order, term, einsum));
  std::vector<HostTensor> results;
  results.push_back(make_tensor(graph.output(node).type, graph.output(node).shape));
  auto& out = results[0].floats();
  if (einsum.products() == 0) return results;

  std::vector<std::int64_t> index(order.size(), 0);
  std::vector<std::int64_t> at(inputs.size(), 0);
  double sum = 0.0;
  for (std::size_t written = 0; written < out.size();) {
    double product = 1.0;
    for (std::size_t k = 0; k < inputs.size(); ++k) product *= inputs[k]->floats()[static_cast<std::size_t>(at[k])];
    sum += product;
    std::size_t d = order.size();
    for (; d > 0; --d) {
      for (std::size_t k = 0; k < inputs.size(); ++k) at[k] += steps[k][d - 1];
      const std::int64_t extent = einsum.extent.at(order[d - 1]);
      if (++index[d - 1] < extent) break;
      for (std::size_t k = 0; k < inputs.size(); ++k) at[k] -= steps[k][d - 1] * extent;
      index[d - 1] = 0;
    }
    if (d <= einsum.output.size()) {  // an output label moved: the sum is complete
      out[written++] = static_cast<float>(sum);
      sum = 0.0;
    }
  }
  return results;
}

/// Bounds what constant folding may take on.
configs::MatrixShape product_of(const Graph& graph, const Node& node, const Box& out) {
  const std::int64_t rows = std::max<std::int64_t>(1, out.elements());
  return {.m = rows, .n = 1, .k = read_einsum(graph, node).products() / rows};
}

constexpr OpDef kOperators[] = {
    {.name = "Einsum", .op_class = OpClass::kMatrix, .infer = infer, .evaluate = evaluate, .matrix_shape = product_of},
};

}  // namespace

Shape Einsum::shape_of(const std::string& labels) const {
  Shape shape;
  for (const char label : labels) shape.push_back(extent.at(label));
  return shape;
}

std::int64_t Einsum::products() const {
  Shape all;
  for (const auto& [label, count] : extent) all.push_back(count);
  return elements_of(all);
}

Einsum read_einsum(const Graph& graph, const Node& node) {
  std::string equation = node.text("equation", "");
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  const auto written = split_terms(equation.substr(0, arrow));
  if (written.size() != node.inputs.size()) {
    bad_node(node, "equation '" + equation + "' has " + std::to_string(written.size()) + " terms for " +
                       std::to_string(node.inputs.size()) + " operands");
  }
  Einsum einsum;
  std::size_t widest = 0;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const Shape& shape = graph.input(node, static_cast<int>(i)).shape;
    const std::size_t letters = letters_of(written[i]);
    const bool fits = has_ellipsis(written[i]) ? letters <= shape.size() : letters == shape.size();
    const std::size_t ellipsis = fits ? shape.size() - letters : 0;
    einsum.terms.push_back(labels_of(node, written[i], ellipsis, true));
    if (!fits || shape.size() > kMaxRank) {
      bad_node(node, "term '" + written[i] + "' does not go with shape " + to_string(shape));
    }
    widest = std::max(widest, ellipsis);
    std::string labels = einsum.terms.back();
    std::sort(labels.begin(), labels.end());
    einsum.diagonal |= std::adjacent_find(labels.begin(), labels.end()) != labels.end();
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const auto [known, fresh] = einsum.extent.emplace(einsum.terms.back()[d], shape[d]);
      if (fresh || known->second == shape[d]) continue;
      bad_node(node, "equation '" + equation + "' makes the extents " + std::to_string(known->second) + " and " +
                         std::to_string(shape[d]) + " one axis");
    }
  }
  einsum.output = arrow == std::string::npos ? implied_output(einsum.terms)
                                             : labels_of(node, equation.substr(arrow + 2), widest, false);
  for (const char label : einsum.output) {
    if (!einsum.extent.contains(label)) {
      bad_node(node, "equation '" + equation + "' has an output axis that no operand has");
    }
  }
  if (einsum.output.size() > kMaxRank) bad_node(node, "has more than " + std::to_string(kMaxRank) + " output axes");
  return einsum;
}

std::span<const OpDef> einsum_operators() { return kOperators; }

}  // namespace spillway::workloads
