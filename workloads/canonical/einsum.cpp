// Einsum becomes what it abbreviates: a ReduceSum over axes of one operand alone, transpositions and reshapes, and one
// MatMul whose leading axes are the labels that both operands and the result have; without a common axis to sum over, a
// broadcast Mul.
#include "workloads/operators/einsum.h"

#include <algorithm>

#include "workloads/canonical/node_list.h"
#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

class Expansion {
 public:
  Expansion(Rewriter& rewriter, NodeId id)
      : rewriter_(rewriter),
        node_(rewriter.node(id)),
        einsum_(read_einsum(rewriter.graph(), node_)),
        list_(rewriter, node_.name, rewriter.tensor(node_.outputs[0]).type) {}

  std::vector<Node> run() {
    Term a = summed({node_.inputs[0], einsum_.terms[0]}, 0);
    if (einsum_.terms.size() == 1) {
      finish(arranged(a, einsum_.output), {});
      return std::move(nodes_);
    }
    Term b = summed({node_.inputs[1], einsum_.terms[1]}, 1);
    std::string batch, rows, columns, common;
    for (const char c : einsum_.output) {
      const bool in_a = has(a, c);
      const bool in_b = has(b, c);
      (in_a && in_b ? batch : in_a ? rows : columns).push_back(c);
    }
    for (const char c : a.labels) {
      if (!einsum_.in_output(c)) common.push_back(c);
    }
    if (common.empty()) {
      multiply(a, b);
    } else {
      contract(a, b, batch, rows, columns, common);
    }
    return std::move(nodes_);
  }

 private:
  struct Term {
    TensorId tensor = kNone;
    std::string labels;
  };

  static bool has(const Term& term, char label) { return term.labels.find(label) != std::string::npos; }

  std::int64_t count(const std::string& labels) const { return elements_of(einsum_.shape_of(labels)); }

  TensorId add(const std::string& op, std::vector<TensorId> inputs, Shape shape,
               std::map<std::string, Attribute> attributes = {}) {
    return list_.add(op, std::move(inputs), std::move(shape), std::move(attributes));
  }

  /// Without the labels that only this operand has and the result has not.
  Term summed(Term term, std::size_t i) {
    std::vector<std::int64_t> axes;
    std::string kept;
    for (std::size_t d = 0; d < term.labels.size(); ++d) {
      const char c = term.labels[d];
      const bool elsewhere = einsum_.terms.size() == 2 && einsum_.terms[1 - i].find(c) != std::string::npos;
      if (elsewhere || einsum_.in_output(c)) {
        kept.push_back(c);
      } else {
        axes.push_back(static_cast<std::int64_t>(d));
      }
    }
    if (axes.empty()) return term;
    const TensorId sum =
        add("ReduceSum", {term.tensor}, einsum_.shape_of(kept), {{"axes", axes}, {"keepdims", std::int64_t{0}}});
    return {sum, kept};
  }

  TensorId arranged(const Term& term, const std::string& wanted) {
    if (term.labels == wanted) return term.tensor;
    std::vector<std::int64_t> perm;
    for (const char c : wanted) perm.push_back(static_cast<std::int64_t>(term.labels.find(c)));
    return add("Transpose", {term.tensor}, einsum_.shape_of(wanted), {{"perm", perm}});
  }

  TensorId reshaped(TensorId tensor, const Shape& shape) {
    if (rewriter_.tensor(tensor).shape == shape) return tensor;
    return add("Reshape", {tensor}, shape, {{"shape", std::vector<std::int64_t>(shape)}});
  }

  void multiply(const Term& a, const Term& b) {
    std::vector<TensorId> factors;
    for (const Term& term : {a, b}) {
      std::string order;
      Shape broadcast;
      for (const char c : einsum_.output) {
        broadcast.push_back(has(term, c) ? einsum_.extent.at(c) : 1);
        if (has(term, c)) order.push_back(c);
      }
      factors.push_back(reshaped(arranged(term, order), broadcast));
    }
    const TensorId product = add("Mul", factors, einsum_.shape_of(einsum_.output));
    finish(product, nodes_.back().name);
  }

  void contract(const Term& a, const Term& b, const std::string& batch, const std::string& rows,
                const std::string& columns, const std::string& common) {
    const auto shape = [&](std::int64_t m, std::int64_t n) {
      Shape s = einsum_.shape_of(batch);
      s.push_back(m);
      s.push_back(n);
      return s;
    };
    const TensorId left = reshaped(arranged(a, batch + rows + common), shape(count(rows), count(common)));
    const TensorId right = reshaped(arranged(b, batch + common + columns), shape(count(common), count(columns)));
    const TensorId product = add("MatMul", {left, right}, shape(count(rows), count(columns)));
    const std::string worker = nodes_.back().name;
    const std::string order = batch + rows + columns;
    finish(arranged({reshaped(product, einsum_.shape_of(order)), order}, einsum_.output), worker);
  }

  /// The result takes the place of the Einsum's; the node `worker` stands for it in the reports.
  void finish(TensorId result, const std::string& worker) {
    const bool own = !nodes_.empty() && nodes_.back().outputs[0] == result;
    if (!own) add("Identity", {result}, einsum_.shape_of(einsum_.output));
    nodes_.back().outputs[0] = node_.outputs[0];
    for (Node& node : nodes_) {
      if (node.name == worker || (worker.empty() && &node == &nodes_.front())) node.origins = node_.origins;
    }
  }

  Rewriter& rewriter_;
  const Node node_;
  const Einsum einsum_;
  NodeList list_;
  std::vector<Node>& nodes_ = list_.nodes();
};

}  // namespace

void expand_einsums(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (rewriter.node(id).op != "Einsum") continue;
    const Einsum einsum = read_einsum(rewriter.graph(), rewriter.node(id));
    if (einsum.terms.size() <= 2 && !einsum.diagonal) rewriter.replace(std::vector{id}, Expansion(rewriter, id).run());
  }
}

}  // namespace spillway::workloads
