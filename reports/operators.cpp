// Who cost what: each command's cycles, work and moves credited to the operators that it ran.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "reports/reports.h"

namespace spillway::reports {

namespace {

using partitioner::Command;
using partitioner::CommandKind;
using partitioner::Kernel;
using partitioner::Operand;
using partitioner::Plan;
using partitioner::Program;
using partitioner::StorageId;
using workloads::kNone;
using workloads::Node;
using workloads::NodeId;

/// Which node of a group a transfer of a storage serves.
class TransferOwners {
 public:
  TransferOwners(const Program& program, const Plan& plan) {
    const auto note = [&](std::map<Key, NodeId>& owners, int group, workloads::TensorId tensor, NodeId node) {
      if (tensor == kNone) return;
      const StorageId storage = program.layout.views[tensor].storage;
      if (storage != kNone) owners.try_emplace({group, storage}, node);
    };
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
      for (const auto& stage : plan.groups[g].stages) {
        for (const NodeId id : stage.nodes) {
          for (const auto tensor : program.graph.nodes[id].inputs) note(readers_, static_cast<int>(g), tensor, id);
          for (const auto tensor : program.graph.nodes[id].outputs) note(writers_, static_cast<int>(g), tensor, id);
        }
      }
    }
  }

  [[nodiscard]] NodeId reader(int group, StorageId storage) const { return find(readers_, writers_, group, storage); }
  [[nodiscard]] NodeId writer(int group, StorageId storage) const { return find(writers_, readers_, group, storage); }

 private:
  using Key = std::pair<int, StorageId>;
  static NodeId find(const std::map<Key, NodeId>& first, const std::map<Key, NodeId>& second, int group,
                     StorageId storage) {
    if (const auto it = first.find({group, storage}); it != first.end()) return it->second;
    if (const auto it = second.find({group, storage}); it != second.end()) return it->second;
    return kNone;
  }

  std::map<Key, NodeId> readers_, writers_;
};

std::int64_t total_of(const configs::VectorWork& work) {
  std::int64_t total = 0;
  for (const std::int64_t n : work) total += n;
  return total;
}

/// Lane-cycles of some vector work, for sharing a command's cycles among its steps.
double lane_cycles(const configs::VectorConfig& vector, const configs::VectorWork& work) {
  double cycles = 0;
  for (int c = 0; c < configs::kVectorOpCount; ++c) {
    if (work[c] > 0 && vector.rate[c] > 0) cycles += static_cast<double>(work[c]) / vector.rate[c];
  }
  return cycles;
}

void add_moves(partitioner::Moves& moves, partitioner::StorageClass storage_class, const Operand& operand,
               const workloads::Box& box, bool written) {
  const auto c = static_cast<std::size_t>(storage_class);
  const std::int64_t elements = box.elements();
  (written ? moves.written_elements : moves.read_elements)[c] += elements;
  (written ? moves.written : moves.read)[c] += elements * operand.element_bytes();
}

class Accountant {
 public:
  Accountant(const Program& program, const Plan& plan, const configs::NpuConfig& npu, const simulator::Result& result)
      : program_(program),
        npu_(npu),
        result_(result),
        owners_(program, plan),
        definitions_(program.graph.nodes.size(), nullptr),
        uses_(program.graph.nodes.size() + 1) {
    for (std::size_t i = 0; i + 1 < uses_.size(); ++i) uses_[i].node = static_cast<NodeId>(i);
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
      for (const auto& stage : plan.groups[g].stages) {
        for (const NodeId id : stage.nodes) {
          auto& groups = uses_[id].groups;
          if (groups.empty() || groups.back() != static_cast<int>(g)) groups.push_back(static_cast<int>(g));
        }
      }
    }
  }

  std::vector<OperatorUse> run() {
    if (result_.commands.size() != program_.commands.size()) {
      internal_error("a Result has the times of every command of its Program");
    }
    for (std::size_t i = 0; i < program_.commands.size(); ++i) credit(program_.commands[i], cycles_of(i));
    if (uses_.back().commands == 0) uses_.pop_back();
    return std::move(uses_);
  }

 private:
  OperatorUse& use_of(NodeId node) { return node == kNone ? uses_.back() : uses_[node]; }

  [[nodiscard]] configs::Cycles cycles_of(std::size_t i) const {
    return result_.commands[i].end - result_.commands[i].start;
  }

  void credit(const Command& command, configs::Cycles cycles) {
    switch (command.kind) {
      case CommandKind::kMatrix: {
        OperatorUse& use = use_of(first_node(command));
        ++use.commands;
        use.matrix_cycles += cycles;
        use.macs += command.matrix.macs();
        break;
      }
      case CommandKind::kVector:
        credit_vector(command, cycles);
        break;
      default:
        credit_transfer(command, cycles);
    }
  }

  const workloads::OpDef& definition_of(NodeId node) {
    if (definitions_[node] == nullptr) definitions_[node] = &workloads::operator_of(program_.graph.nodes[node]);
    return *definitions_[node];
  }

  [[nodiscard]] NodeId first_node(const Command& command) const {
    if (command.kernel == kNone || program_.kernels[command.kernel].steps.empty()) return kNone;
    return program_.kernels[command.kernel].steps.front().node;
  }

  void credit_transfer(const Command& command, configs::Cycles cycles) {
    const auto operands = program_.operands(command);
    const auto& layout = program_.layout;
    const bool gather = command.kind == CommandKind::kGather;
    const bool store = command.kind == CommandKind::kStore;
    const Operand& source = operands[gather ? 1 : 0];
    const Operand& destination = operands.back();
    NodeId node = first_node(command);
    if (node == kNone) {
      node = command.kind == CommandKind::kLoad ? owners_.reader(command.group, source.storage)
                                                : owners_.writer(command.group, destination.storage);
    }
    OperatorUse& use = use_of(node);
    ++use.commands;
    use.dma_cycles += cycles;
    if (store) {
      add_moves(use.moves, layout.storages[destination.storage].storage_class, destination, destination.box, true);
    } else if (command.kind == CommandKind::kLoad) {
      add_moves(use.moves, layout.storages[source.storage].storage_class, source, source.box, false);
    } else if (gather) {
      // Only the rows that the indices name are read, as many elements as arrive.
      add_moves(use.moves, layout.storages[source.storage].storage_class, source, destination.box, false);
    }
  }

  void credit_vector(const Command& command, configs::Cycles cycles) {
    if (command.kernel == kNone) {
      OperatorUse& use = use_of(kNone);
      ++use.commands, use.vector_cycles += cycles, use.vector_ops += total_of(command.vector);
      return;
    }
    const Kernel& kernel = program_.kernels[command.kernel];
    ++use_of(first_node(command)).commands;
    const std::size_t steps = kernel.steps.size();
    // Step 0 has what the later steps leave: a drain has no operator of its own to ask.
    std::int64_t ops_left = total_of(command.vector);
    double weight_left = lane_cycles(npu_.vector, command.vector);
    const double weight_total = weight_left;
    configs::Cycles cycles_left = cycles;
    for (std::size_t s = steps; s-- > 0;) {
      OperatorUse& use = use_of(kernel.steps[s].node);
      if (s == 0) {
        use.vector_ops += ops_left;
        use.vector_cycles += cycles_left;
        break;
      }
      const Node& node = program_.graph.nodes[kernel.steps[s].node];
      const auto work_of = definition_of(kernel.steps[s].node).vector_work;
      const configs::VectorWork work =
          work_of == nullptr ? configs::VectorWork{} : work_of(program_.graph, node, program_.boxes(command)[s]);
      const std::int64_t ops = std::min(total_of(work), ops_left);
      const double weight = std::min(lane_cycles(npu_.vector, work), weight_left);
      const auto share = weight_total > 0
                             ? static_cast<configs::Cycles>(static_cast<double>(cycles) * weight / weight_total)
                             : configs::Cycles{0};
      use.vector_ops += ops, ops_left -= ops;
      weight_left -= weight;
      use.vector_cycles += std::min(share, cycles_left), cycles_left -= std::min(share, cycles_left);
    }
  }

  const Program& program_;
  const configs::NpuConfig& npu_;
  const simulator::Result& result_;
  TransferOwners owners_;
  std::vector<const workloads::OpDef*> definitions_;  ///< by node, looked up once
  std::vector<OperatorUse> uses_;                     ///< by node, and one more for commands of no node
};

}  // namespace

std::vector<StorageMoves> storage_moves(const Program& program) {
  std::vector<StorageMoves> moves(program.layout.storages.size());
  for (const Command& command : program.commands) {
    const auto operands = program.operands(command);
    if (command.kind == CommandKind::kLoad) moves[operands[0].storage].read += operands[0].bytes();
    if (command.kind == CommandKind::kStore) moves[operands.back().storage].written += operands.back().bytes();
    if (command.kind == CommandKind::kGather) {
      moves[operands[1].storage].read += operands.back().box.elements() * operands[1].element_bytes();
    }
  }
  return moves;
}

std::vector<OperatorUse> operator_uses(const Program& program, const Plan& plan, const configs::NpuConfig& npu,
                                       const simulator::Result& result) {
  return Accountant(program, plan, npu, result).run();
}

}  // namespace spillway::reports
