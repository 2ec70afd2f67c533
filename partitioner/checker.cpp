#include "partitioner/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "configs/error.h"
#include "partitioner/describe.h"
#include "partitioner/footprint.h"
#include "partitioner/happens_before.h"
#include "partitioner/kernel_rules.h"
#include "partitioner/memory_state.h"
#include "partitioner/program_validation.h"

namespace spillway::partitioner {

namespace {

class Checker {
 public:
  Checker(const Program& program, std::size_t limit)
      : program_(program),
        limit_(limit),
        order_(program, [this](std::int32_t c, const Wait& wait) { bad_wait(c, wait); }),
        kernels_(program, [this](std::int32_t c, const std::string& what) { report(c, what); }),
        dram_(order_, program) {
    const auto scratchpad_reads = last_uses(Space::kScratchpad);
    const auto accumulator_reads = last_uses(Space::kAccumulator);
    scratchpad_.emplace(order_, program.scratchpad_bytes, scratchpad_reads);
    for (int engine = 0; engine < program.queues.matrix; ++engine) {
      accumulators_.emplace_back(order_, program.accumulator_bytes, accumulator_reads);
    }
  }

  std::vector<Violation> run() {
    for (std::size_t c = 0; c < program_.commands.size() && !full(); ++c) {
      order_.advance(static_cast<std::int32_t>(c));
      walk_over(static_cast<std::int32_t>(c));
    }
    if (!full()) finish();
    return std::move(violations_);
  }

 private:
  /// How a command touches an operand.
  struct Access {
    bool reads = false, writes = false;
    bool accumulates = false;  // reads its own partial result
    Footprint where;
  };

  [[nodiscard]] bool full() const { return violations_.size() >= limit_; }
  void report(std::int32_t c, const std::string& what) {
    if (full()) return;
    const std::string place =
        c == kNone ? std::string{}
                   : fmt::format("c{} {} {}: ", c, describe_queue(program_.queues, program_.commands[c].queue),
                                 name_of(program_.commands[c].kind));
    violations_.push_back({c, place + what});
  }
  void bad_wait(std::int32_t c, const Wait& wait) {
    report(c, fmt::format("waits for {} commands of {}, which are not all earlier in the stream", wait.count,
                          describe_queue(program_.queues, wait.queue)));
  }

  [[nodiscard]] std::vector<std::int32_t> last_uses(Space space) const {
    std::vector<std::int32_t> last(program_.layout.storages.size(), kNone);
    for (std::size_t c = 0; c < program_.commands.size(); ++c) {
      for (const Operand& operand : program_.operands(program_.commands[c])) {
        if (operand.space == space) last[operand.storage] = static_cast<std::int32_t>(c);
      }
    }
    return last;
  }

  void walk_over(std::int32_t c);
  [[nodiscard]] bool well_formed(std::int32_t c);
  [[nodiscard]] bool spaces_fit(std::int32_t c);
  [[nodiscard]] bool find_roles(std::int32_t c);
  [[nodiscard]] bool place(std::int32_t c);
  void check_transfer(std::int32_t c);
  [[nodiscard]] bool shifts_down(std::int32_t c) const;
  void check_overlap_within(std::int32_t c);
  void read(std::int32_t c, const Operand& operand, const Access& access);
  void write(std::int32_t c, const Operand& operand, const Access& access);
  void report_fault(std::int32_t c, const Operand& operand, bool writes, const Fault& fault);
  void finish();

  const Program& program_;
  std::size_t limit_;
  std::vector<Violation> violations_;
  HappensBefore order_;
  KernelRules kernels_;
  DramState dram_;
  std::optional<MemoryState> scratchpad_;
  std::vector<MemoryState> accumulators_;
  std::vector<Access> accesses_;  // of the command at hand, by operand
};

void Checker::walk_over(std::int32_t c) {
  const Command& command = program_.commands[c];
  if (!well_formed(c) || !find_roles(c) || !place(c)) return;
  if (command.kernel != kNone) kernels_.check(c);
  if (command.kind == CommandKind::kLoad || command.kind == CommandKind::kStore || command.kind == CommandKind::kCopy) {
    check_transfer(c);
  }
  check_overlap_within(c);
  const auto operands = program_.operands(command);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (!accesses_[i].reads) continue;
    if (!accesses_[i].accumulates) kernels_.check_complete(c, operands[i]);
    read(c, operands[i], accesses_[i]);
  }
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (accesses_[i].writes) write(c, operands[i], accesses_[i]);
  }
}

bool Checker::well_formed(std::int32_t c) {
  const Command& command = program_.commands[c];
  const Queues& queues = program_.queues;
  const bool on_matrix = command.queue >= queues.first_matrix() && command.queue < queues.first_vector();
  const bool on_vector = command.queue >= queues.first_vector();
  const bool right_queue = command.kind == CommandKind::kMatrix   ? on_matrix
                           : command.kind == CommandKind::kVector ? on_vector
                                                                  : !on_matrix && !on_vector;
  if (!right_queue) {
    report(c, "is on the queue of another kind of engine");
    return false;
  }
  const bool computes = command.kind == CommandKind::kMatrix || command.kind == CommandKind::kVector ||
                        command.kind == CommandKind::kGather;
  const bool may_compute = computes || command.kind == CommandKind::kLoad || command.kind == CommandKind::kCopy;
  if ((computes && command.kernel == kNone) || (!may_compute && command.kernel != kNone)) {
    report(c, computes ? "has no kernel" : "has a kernel");
    return false;
  }
  return spaces_fit(c);
}

bool Checker::spaces_fit(std::int32_t c) {
  constexpr auto kDram = Space::kDram;
  constexpr auto kPad = Space::kScratchpad;
  constexpr auto kAcc = Space::kAccumulator;
  const Command& command = program_.commands[c];
  const auto operands = program_.operands(command);
  std::vector<Space> expected;
  switch (command.kind) {
    case CommandKind::kLoad:
      expected = {kDram, kPad};
      break;
    case CommandKind::kStore:
      expected = {kPad, kDram};
      break;
    case CommandKind::kCopy:
      expected = {kPad, kPad};
      break;
    case CommandKind::kGather:
      expected = {kPad, kDram, kPad};
      break;
    case CommandKind::kMatrix:
      expected = {kPad, kPad, kAcc};
      break;
    case CommandKind::kVector:
      // Only the drain's partial sums come from accumulators; kernel_rules names the operand.
      for (const Operand& operand : operands) expected.push_back(operand.space == kAcc ? kAcc : kPad);
      break;
  }
  if (operands.size() != expected.size()) {
    report(c, fmt::format("has {} operands when it should have {}", operands.size(), expected.size()));
    return false;
  }
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    if (operand.space != expected[i]) {
      report(c, fmt::format("operand {} is in the wrong memory: {}", i, describe(program_, operand)));
      return false;
    }
    const configs::Format format =
        operand.space == kAcc ? program_.precision.accumulator : program_.layout.storages[operand.storage].format;
    if (operand.format != format) {
      report(c, fmt::format("operand {} should be {}: {}", i, configs::name_of(format), describe(program_, operand)));
      return false;
    }
    if (command.kind == CommandKind::kMatrix && operand.space == kAcc &&
        operand.engine != command.queue - program_.queues.first_matrix()) {
      report(c, fmt::format("writes another engine's accumulators: {}", describe(program_, operand)));
      return false;
    }
  }
  return true;
}

bool Checker::find_roles(std::int32_t c) {
  const Command& command = program_.commands[c];
  const std::size_t count = command.operands;
  accesses_.assign(count, {});
  if (command.kind != CommandKind::kVector) {
    for (std::size_t i = 0; i < count; ++i) (i + 1 < count ? accesses_[i].reads : accesses_[i].writes) = true;
    return true;
  }
  const Kernel& kernel = program_.kernels[command.kernel];
  for (const KernelStep& step : kernel.steps) {
    for (const KernelInput& input : step.inputs) {
      if (input.from == KernelInput::From::kOperand) accesses_[input.index].reads = true;
    }
  }
  for (const Kernel::Output& output : kernel.outputs) {
    Access& access = accesses_[output.operand];
    if (access.writes || access.reads) {
      report(c, fmt::format("operand {} is written twice or read and written", output.operand));
      return false;
    }
    access.writes = true;
    const Node& node = program_.graph.nodes[kernel.steps[output.step].node];
    const workloads::OpDef* def = workloads::find_operator(node.op);
    if (def != nullptr && def->op_class == workloads::OpClass::kStatistics && command.prior > 0) {
      access.reads = access.accumulates = true;
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const bool unused = !accesses_[i].reads && !accesses_[i].writes;
    if (unused || (accesses_[i].writes && program_.operands(command)[i].space == Space::kAccumulator)) {
      report(c, fmt::format("operand {} {}", i, unused ? "is not used by the kernel" : "writes accumulators"));
      return false;
    }
  }
  return true;
}

bool Checker::place(std::int32_t c) {
  const auto operands = program_.operands(program_.commands[c]);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    const std::int64_t limit = operand.space == Space::kDram         ? program_.dram_bytes
                               : operand.space == Space::kScratchpad ? program_.scratchpad_bytes
                                                                     : program_.accumulator_bytes;
    auto placed = footprint_of(operand, limit);
    if (!placed.problem && operand.space == Space::kDram) {
      const Storage& storage = program_.layout.storages[operand.storage];
      const Placement dense = dense_placement(storage);
      bool same = operand.at.origin == dense.origin;
      for (int f = 0; f < storage.rank; ++f) {
        same = same && (storage.extent[f] == 1 || operand.at.stride[f] == dense.stride[f]);
      }
      if (!same) placed.problem = "is not placed as its storage lies in DRAM";
    }
    if (placed.problem) {
      report(c, fmt::format("operand {}, {}: {}", i, describe(program_, operand), *placed.problem));
      return false;
    }
    accesses_[i].where = placed.footprint;
  }
  return true;
}

void Checker::check_transfer(std::int32_t c) {
  const Command& command = program_.commands[c];
  const auto operands = program_.operands(command);
  if (command.kernel != kNone) return;  // a piece of a Concat: kernel_rules relates the boxes
  if (operands[0].storage != operands[1].storage || !(operands[0].box == operands[1].box)) {
    report(c, fmt::format("moves {} to {}", describe(program_, operands[0]), describe(program_, operands[1])));
  }
}

// A copy goes upwards, so it may shift a window down over itself: what it overwrites it has already read. That needs
// both sides to have the same strides, in the order in which a box is walked.
bool Checker::shifts_down(std::int32_t c) const {
  if (program_.commands[c].kind != CommandKind::kCopy) return false;
  const Footprint& from = accesses_[0].where;
  const Footprint& to = accesses_[1].where;
  if (!(from.box == to.box) || to.first >= from.first ||
      !std::is_sorted(to.factor.begin(), to.factor.begin() + to.levels)) {
    return false;
  }
  return std::all_of(to.factor.begin(), to.factor.begin() + to.levels,
                     [&](int f) { return from.at.stride[f] == to.at.stride[f]; });
}

// Engines read and write in an order of their own, so a command's operands must not share bytes with what it writes.
void Checker::check_overlap_within(std::int32_t c) {
  if (shifts_down(c)) return;
  const auto operands = program_.operands(program_.commands[c]);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (!accesses_[i].writes) continue;
    for (std::size_t j = 0; j < operands.size(); ++j) {
      if (i == j || (accesses_[j].writes && j < i) || operands[i].space != operands[j].space ||
          (operands[i].space == Space::kAccumulator && operands[i].engine != operands[j].engine) ||
          !share_bytes(accesses_[i].where, accesses_[j].where)) {
        continue;
      }
      report(c, fmt::format("operands share bytes: {} and {}", describe(program_, operands[j]),
                            describe(program_, operands[i])));
    }
  }
}

void Checker::read(std::int32_t c, const Operand& operand, const Access& access) {
  std::optional<Fault> fault;
  switch (operand.space) {
    case Space::kDram:
      fault = dram_.read(c, operand.storage, access.where);
      break;
    case Space::kScratchpad:
      fault = scratchpad_->read(c, operand.storage, access.where);
      break;
    case Space::kAccumulator:
      fault = accumulators_[operand.engine].read(c, operand.storage, access.where);
      break;
  }
  if (fault) report_fault(c, operand, false, *fault);
}

void Checker::write(std::int32_t c, const Operand& operand, const Access& access) {
  std::optional<Fault> fault;
  switch (operand.space) {
    case Space::kDram:
      fault = dram_.write(c, operand.storage, access.where);
      break;
    case Space::kScratchpad:
      fault = scratchpad_->write(c, operand.storage, access.where);
      break;
    case Space::kAccumulator:
      fault = accumulators_[operand.engine].write(c, operand.storage, access.where);
      break;
  }
  if (fault) report_fault(c, operand, true, *fault);
}

void Checker::report_fault(std::int32_t c, const Operand& operand, bool writes, const Fault& fault) {
  const std::string what = fmt::format("{} {}", writes ? "writes" : "reads", describe(program_, operand));
  switch (fault.kind) {
    case Fault::Kind::kNoData:
      return report(c, fmt::format("{}, but {} is not there", what, describe(fault.box)));
    case Fault::Kind::kUnordered: {
      const Command& other = program_.commands[fault.other];
      return report(c, fmt::format("{}, but c{} {} {} {} these bytes and nothing orders it before", what, fault.other,
                                   describe_queue(program_.queues, other.queue), name_of(other.kind),
                                   fault.other_writes ? "writes" : "reads"));
    }
    case Fault::Kind::kTwice:
      return report(c, what + ", a part of which has been stored before");
    case Fault::Kind::kReadOnly:
      return report(c, what + ", which is a graph input or constant");
  }
}

void Checker::finish() {
  kernels_.finish();
  for (std::size_t s = 0; s < program_.layout.storages.size(); ++s) {
    const Storage& storage = program_.layout.storages[s];
    if (!storage.is_output) continue;
    if (const auto box = dram_.absent(static_cast<StorageId>(s))) {
      report(kNone, fmt::format("graph output '{}' is not in DRAM at the end: {}", storage.name, describe(*box)));
    }
  }
}

}  // namespace

std::vector<Violation> check(const Program& program, std::size_t limit) {
  try {
    validate_references(program);
    return Checker(program, std::max<std::size_t>(limit, 1)).run();  // none would look like a proof
  } catch (const Error& error) {
    // A Program that cannot even be walked, or whose graph has an operator that refuses its node.
    return {Violation{kNone, error.what()}};
  }
}

}  // namespace spillway::partitioner
