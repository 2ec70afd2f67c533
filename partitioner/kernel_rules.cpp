#include "partitioner/kernel_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "partitioner/describe.h"
#include "workloads/operators/parameters.h"

namespace spillway::partitioner {

using workloads::OpClass;
using workloads::OpDef;
using From = KernelInput::From;

struct KernelRules::Step {
  std::int32_t c = kNone;
  const Command* command = nullptr;
  const Kernel* kernel = nullptr;
  int index = 0;
  const KernelStep* step = nullptr;
  const Node* node = nullptr;
  const OpDef* def = nullptr;
  Box box;

  [[nodiscard]] bool drains() const { return kernel->drain && index == 0; }
  [[nodiscard]] bool accumulates() const { return def->op_class == OpClass::kStatistics; }
  [[nodiscard]] TensorId output() const { return node->outputs[0]; }
};

namespace {

/// The domain of a step's box: its output, or what it accumulates.
TensorId domain_of(const Node& node, const OpDef& def) {
  return def.op_class == OpClass::kStatistics ? node.inputs[0] : node.outputs[0];
}

/// What the box `out` needs of input i. Operators that move without a map of their own may need everything.
Box needed_of(const Graph& graph, const Node& node, const OpDef& def, int i, const Box& out, const Box& whole_input) {
  if (def.op_class == OpClass::kStatistics && i == 0) return out;
  if (def.region == nullptr) return whole_input;
  return def.region(graph, node, i, out);
}

/// The dimensions that a storage box runs over, outermost factor first, each with its extent.
std::vector<std::pair<int, std::int32_t>> walk_order(const TensorView& view, const Box& box) {
  std::vector<std::pair<int, std::int32_t>> order;
  for (int f = 0; f < box.rank; ++f) {
    if (box.extent[f] == 1) continue;
    for (std::size_t d = 0; d < view.dims.size(); ++d) {
      for (const FactorRef& ref : view.dims[d]) {
        if (ref.factor == f) order.emplace_back(static_cast<int>(d), box.extent[f]);
      }
    }
  }
  return order;
}

}  // namespace

KernelRules::KernelRules(const Program& program, Report report)
    : program_(program), report_(std::move(report)), produced_(program.graph.nodes.size()) {
  const Layout& layout = program.layout;
  whole_.resize(program.graph.tensors.size());
  for (std::size_t t = 0; t < whole_.size(); ++t) {
    if (layout.views[t].storage != kNone) whole_[t] = workloads::whole(program.graph.tensors[t].shape);
  }
  statistics_of_.assign(layout.storages.size(), kNone);
  for (std::size_t n = 0; n < program.graph.nodes.size(); ++n) {
    const Node& node = program.graph.nodes[n];
    const OpDef* def = workloads::find_operator(node.op);
    if (def == nullptr || def->op_class != OpClass::kStatistics || node.outputs.empty()) continue;
    const StorageId storage = layout.views[node.outputs[0]].storage;
    if (storage != kNone) statistics_of_[storage] = static_cast<NodeId>(n);
  }
}

std::string KernelRules::name(const Step& step, int input) const {
  return fmt::format("node '{}': input {} '{}'", step.node->name, input,
                     program_.graph.tensors[step.node->inputs[input]].name);
}

Box KernelRules::output_box(const Step& step) const {
  if (!step.accumulates()) return step.box;
  Box box = whole_[step.output()];  // [N, C, 2]: of the channels that the input box has
  for (int d = 0; d < 2; ++d) box.set(d, step.box.begin[d], step.box.extent[d]);
  return box;
}

bool KernelRules::begin_step(Step& step) {
  step.step = &step.kernel->steps[step.index];
  step.node = &program_.graph.nodes[step.step->node];
  step.def = workloads::find_operator(step.node->op);
  step.box = program_.boxes(*step.command)[step.index];
  const auto fail = [&](const std::string& what) {
    report_(step.c, fmt::format("node '{}': {}", step.node->name, what));
    return false;
  };
  if (step.def == nullptr) return fail(fmt::format("operator '{}' is unknown", step.node->op));
  if (step.node->outputs.empty() || step.node->outputs[0] == kNone ||
      program_.layout.views[step.node->outputs[0]].storage == kNone) {
    return fail("its output is nowhere");
  }
  if (program_.layout.is_view_node[step.step->node]) return fail("is addressing only, not to be executed");
  const bool matrix = step.def->op_class == OpClass::kMatrix;
  const bool in_place =
      step.command->kind == CommandKind::kMatrix ? matrix && !step.kernel->drain : matrix == step.drains();
  if (!in_place) return fail(fmt::format("is not to be run by a {} command", name_of(step.command->kind)));
  const TensorId domain = domain_of(*step.node, *step.def);
  if (domain == kNone || program_.layout.views[domain].storage == kNone) return fail("its domain is nowhere");
  if (step.box.rank != whole_[domain].rank || step.box.empty() || !whole_[domain].contains(step.box)) {
    return fail(fmt::format("box {} is not a part of {}", describe(step.box), describe(whole_[domain])));
  }
  if (step.accumulates() && (step.box.rank < 2 || whole_[step.output()].rank < 2)) {
    return fail("statistics need a batch and a channel dimension");
  }
  return true;
}

void KernelRules::check(std::int32_t c) {
  Step step;
  step.c = c;
  step.command = &program_.commands[c];
  step.kernel = &program_.kernels[step.command->kernel];
  const Step first = step;
  const bool single = step.command->kind != CommandKind::kVector;
  if (step.kernel->steps.empty() || (single && (step.kernel->steps.size() != 1 || step.kernel->drain))) {
    return report_(c,
                   fmt::format("a {} command with {} steps", name_of(step.command->kind), step.kernel->steps.size()));
  }
  for (; step.index < static_cast<int>(step.kernel->steps.size()); ++step.index) {
    if (!begin_step(step)) return;
    if (step.drains()) {
      check_drain_inputs(step);
    } else {
      check_inputs(step);
    }
    account(step);
  }
  Step last = first;
  for (const Kernel::Output& output : step.kernel->outputs) {
    last.index = output.step;
    if (!begin_step(last)) return;
    check_result(last, program_.operands(*step.command)[output.operand]);
  }
  if (single) {
    // The destination of these commands is their last operand whether or not the kernel lists it.
    last.index = 0;
    if (!begin_step(last)) return;
    check_result(last, program_.operands(*step.command).back());
    const bool moves = step.command->kind == CommandKind::kLoad || step.command->kind == CommandKind::kCopy;
    if (moves) check_move(last);
  }
  check_work(first);
}

void KernelRules::check_inputs(const Step& step) {
  const int count = static_cast<int>(std::max(step.node->inputs.size(), step.step->inputs.size()));
  for (int i = 0; i < count; ++i) {
    const KernelInput given = i < static_cast<int>(step.step->inputs.size()) ? step.step->inputs[i] : KernelInput{};
    if (!program_.graph.has_input(*step.node, i)) {
      if (given.from != From::kOmitted) {
        report_(step.c, fmt::format("node '{}' has no input {}", step.node->name, i));
      }
      continue;
    }
    const TensorId tensor = step.node->inputs[i];
    if (program_.layout.views[tensor].storage == kNone) {
      // Nothing executed touches it: a parameter of the operator, known from the graph.
      if (!program_.graph.tensors[tensor].is_constant()) report_(step.c, name(step, i) + " is nowhere");
      continue;
    }
    check_input(step, i, given, needed_of(program_.graph, *step.node, *step.def, i, step.box, whole_[tensor]));
  }
}

void KernelRules::check_drain_inputs(const Step& step) {
  const auto& inputs = step.step->inputs;
  const TensorId result = step.output();
  const KernelInput partial = inputs.empty() ? KernelInput{} : inputs[0];
  if (partial.from != From::kOperand) {
    return report_(step.c, fmt::format("node '{}': the drain reads no accumulators", step.node->name));
  }
  const Operand& operand = program_.operands(*step.command)[partial.index];
  if (operand.space != Space::kAccumulator || operand.storage != program_.layout.views[result].storage ||
      !operand.box.contains(program_.layout.to_storage(result, step.box))) {
    report_(step.c, fmt::format("node '{}': the drain of {} reads {}", step.node->name, describe(step.box),
                                describe(program_, operand)));
  }
  if (inputs.size() > 2) report_(step.c, fmt::format("node '{}': the drain has too many inputs", step.node->name));
  constexpr int kBias = 2;  // of Conv, ConvTranspose and MatMul alike
  const KernelInput bias = inputs.size() > 1 ? inputs[1] : KernelInput{};
  if (program_.graph.has_input(*step.node, kBias)) {
    check_input(step, kBias, bias, step.def->region(program_.graph, *step.node, kBias, step.box));
  } else if (bias.from != From::kOmitted) {
    report_(step.c, fmt::format("node '{}' has no bias", step.node->name));
  }
}

void KernelRules::check_input(const Step& step, int i, const KernelInput& given, const Box& needed) {
  if (needed.empty()) return;
  const TensorId tensor = step.node->inputs[i];
  if (given.from == From::kOmitted) {
    const bool bias_comes_with_drain = step.command->kind == CommandKind::kMatrix && i >= 2;
    const bool parameter =
        program_.graph.tensors[tensor].is_constant() && !workloads::parameter_name(step.node->op, i).empty();
    if (!bias_comes_with_drain && !parameter) report_(step.c, name(step, i) + " is missing");
    return;
  }
  if (given.tensor != tensor) {
    return report_(step.c,
                   fmt::format("{} is given tensor '{}'", name(step, i), program_.graph.tensors[given.tensor].name));
  }
  check_source(step, i, given, needed);
}

void KernelRules::check_source(const Step& step, int i, const KernelInput& given, const Box& needed) {
  const Layout& layout = program_.layout;
  const TensorId tensor = given.tensor;
  const StorageId storage = layout.views[tensor].storage;
  const Box wanted = layout.to_storage(tensor, needed);
  if (given.from == From::kOperand) {
    const Operand& operand = program_.operands(*step.command)[given.index];
    if (operand.space == Space::kAccumulator) return report_(step.c, name(step, i) + " is read from accumulators");
    if (operand.storage != storage || !operand.box.contains(wanted)) {
      report_(step.c, fmt::format("{} needs {} (storage {}) but the operand is {}", name(step, i), describe(needed),
                                  describe(wanted), describe(program_, operand)));
    }
    return;
  }
  Step source = step;
  source.index = given.index;
  if (!begin_step(source)) return;
  const Box held = layout.to_storage(source.output(), source.box);
  // In the same tensor's coordinates the question is exact; through a view the earlier box must itself be exact.
  const bool same_tensor = source.output() == tensor;
  const bool holds =
      same_tensor ? source.box.contains(needed) : held.elements() == source.box.elements() && held.contains(wanted);
  if (source.accumulates() || layout.views[source.output()].storage != storage || !holds) {
    report_(step.c, fmt::format("{} needs {} but step {} '{}' has {}", name(step, i), describe(needed), given.index,
                                source.node->name, describe(source.box)));
  }
}

void KernelRules::check_result(const Step& step, const Operand& operand) {
  const Box box = output_box(step);
  const Box stored = program_.layout.to_storage(step.output(), box);
  if (operand.storage != program_.layout.views[step.output()].storage || !(operand.box == stored) ||
      stored.elements() != box.elements()) {
    report_(step.c, fmt::format("node '{}' computes {} (storage {}) but writes {}", step.node->name, describe(box),
                                describe(stored), describe(program_, operand)));
  }
}

// DMA computes nothing: the node must be a pure shift of one input's box, walked in the same order.
void KernelRules::check_move(const Step& step) {
  const auto operands = program_.operands(*step.command);
  const auto fail = [&](const std::string& what) {
    report_(step.c, fmt::format("node '{}' ({}): {}", step.node->name, step.node->op, what));
  };
  int source = kNone;
  for (std::size_t i = 0; i < step.step->inputs.size(); ++i) {
    if (step.step->inputs[i].from == From::kOmitted) continue;
    if (source != kNone || step.step->inputs[i].from != From::kOperand || step.step->inputs[i].index != 0) {
      return fail("a transfer has one input, its first operand");
    }
    source = static_cast<int>(i);
  }
  if (source == kNone) return fail("a transfer has one input, its first operand");
  if (step.def->op_class != OpClass::kMove || step.def->region == nullptr) return fail("does more than move");
  const TensorId from = step.node->inputs[source];
  const Box needed = step.def->region(program_.graph, *step.node, source, step.box);
  Box corner = step.box;
  for (int d = 0; d < corner.rank; ++d) corner.extent[d] = 1;
  const Box first = step.def->region(program_.graph, *step.node, source, corner);
  if (needed.extent != step.box.extent || first.begin != needed.begin || first.elements() != 1) {
    return fail(fmt::format("{} is not a shift of {}", describe(step.box), describe(needed)));
  }
  const Layout& layout = program_.layout;
  if (!(operands[0].box == layout.to_storage(from, needed)) ||
      walk_order(layout.views[from], operands[0].box) != walk_order(layout.views[step.output()], operands[1].box)) {
    fail(fmt::format("{} does not become {}", describe(program_, operands[0]), describe(program_, operands[1])));
  }
}

void KernelRules::check_work(const Step& first) {
  Step step = first;
  configs::VectorWork least{};
  std::int64_t least_total = 1;
  for (; step.index < static_cast<int>(step.kernel->steps.size()); ++step.index) {
    if (!begin_step(step)) return;
    if (step.command->kind == CommandKind::kMatrix) {
      const configs::MatrixShape shape = step.def->matrix_shape(program_.graph, *step.node, step.box);
      const configs::MatrixShape& charged = step.command->matrix;
      if (charged.m < shape.m || charged.n < shape.n || charged.k < shape.k || charged.batch < shape.batch) {
        report_(step.c,
                fmt::format("node '{}' is {}x{}x{} by {} but is charged as {}x{}x{} by {}", step.node->name, shape.m,
                            shape.n, shape.k, shape.batch, charged.m, charged.n, charged.k, charged.batch));
      }
      return;
    }
    if (step.drains()) least_total = std::max(least_total, step.box.elements());
    if (step.def->vector_work == nullptr) continue;
    const configs::VectorWork work = step.def->vector_work(program_.graph, *step.node, step.box);
    for (std::size_t k = 0; k < work.size(); ++k) least[k] += work[k];
  }
  if (step.command->kind != CommandKind::kVector) return;
  std::int64_t total = 0;
  for (std::size_t k = 0; k < least.size(); ++k) {
    total += step.command->vector[k];
    if (step.command->vector[k] >= least[k]) continue;
    report_(step.c,
            fmt::format("{} operations of class '{}' are charged when the kernel needs {}", step.command->vector[k],
                        configs::name_of(static_cast<configs::VectorOp>(k)), least[k]));
  }
  if (total < least_total) {
    report_(step.c, fmt::format("{} operations are charged when the kernel needs {}", total, least_total));
  }
}

void KernelRules::account(const Step& step) {
  if (step.accumulates()) return accumulate(step);
  if (step.command->kind != CommandKind::kMatrix) produced_[step.step->node].add(step.box);
}

// Partial statistics merge by their counts, so the count that a command is told must be the count of every one of its
// channels, and no input element may come twice.
void KernelRules::accumulate(const Step& step) {
  RegionSet& done = produced_[step.step->node];
  if (done.intersects(step.box)) {
    report_(step.c, fmt::format("node '{}' accumulates a part of {} again", step.node->name, describe(step.box)));
    return;
  }
  Box columns = whole_[step.node->inputs[0]];
  for (int d = 0; d < 2; ++d) columns.set(d, step.box.begin[d], step.box.extent[d]);
  std::vector<Box> parts;
  std::array<std::vector<std::int32_t>, 2> cuts;
  for (int d = 0; d < 2; ++d) cuts[d] = {columns.begin[d]};
  for (const Box& box : done.boxes()) {
    const Box part = intersect(box, columns);
    if (part.empty()) continue;
    parts.push_back(part);
    for (int d = 0; d < 2; ++d) {
      cuts[d].push_back(part.begin[d]);
      if (part.end(d) < columns.end(d)) cuts[d].push_back(part.end(d));
    }
  }
  for (auto& list : cuts) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  for (const std::int32_t n : cuts[0]) {
    for (const std::int32_t channel : cuts[1]) {
      std::int64_t count = 0;
      for (const Box& part : parts) {
        if (n < part.begin[0] || n >= part.end(0) || channel < part.begin[1] || channel >= part.end(1)) continue;
        count += part.elements() / part.extent[0] / part.extent[1];
      }
      if (count == step.command->prior) continue;
      report_(step.c, fmt::format("node '{}': channel {} of image {} has accumulated {} elements before, not {}",
                                  step.node->name, channel, n, count, step.command->prior));
      return;
    }
  }
  done.add(step.box);
}

void KernelRules::check_complete(std::int32_t c, const Operand& operand) {
  const NodeId id = statistics_of_[operand.storage];
  if (id == kNone || operand.space == Space::kAccumulator) return;
  const Node& node = program_.graph.nodes[id];
  for (const Box& part : program_.layout.to_logical(node.outputs[0], operand.box)) {
    Box needed = whole_[node.inputs[0]];
    for (int d = 0; d < 2; ++d) needed.set(d, part.begin[d], part.extent[d]);
    if (produced_[id].covers(needed)) continue;
    report_(c, fmt::format("{} is read before node '{}' has accumulated {}", describe(program_, operand), node.name,
                           describe(produced_[id].missing(needed).front())));
  }
}

void KernelRules::finish() {
  for (std::size_t n = 0; n < program_.graph.nodes.size(); ++n) {
    const Node& node = program_.graph.nodes[n];
    if (node.folded || program_.layout.is_view_node[n]) continue;
    const OpDef* def = workloads::find_operator(node.op);
    const TensorId domain = def == nullptr || node.outputs.empty() ? kNone : domain_of(node, *def);
    if (domain == kNone || program_.layout.views[domain].storage == kNone) {
      report_(kNone, fmt::format("node '{}' is not executed: it or its output is unknown", node.name));
      continue;
    }
    if (whole_[domain].empty()) continue;
    const auto missing = produced_[n].missing(whole_[domain]);
    if (missing.empty()) continue;
    report_(kNone, fmt::format("node '{}' is not executed over {}", node.name, describe(missing.front())));
  }
}

}  // namespace spillway::partitioner
