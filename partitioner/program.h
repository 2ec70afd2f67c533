// The Program: the NPU's complete command stream. With the config and the initial DRAM contents it is all that the
// simulator needs, in timing and in functional mode alike; the checker proves it without running it.
//
// Engines run freely: each takes the commands of its own queue one after the other, in order. Order between queues
// exists only through waits: "queue q has completed n commands". Happens-before is the transitive closure of queue
// order and waits.
//
// Operands are boxes of a storage (layout.h) under an affine placement: the element at storage coordinate c lies at
// byte address origin + sum(stride[f] * c[f]). In DRAM the placement is the dense one of the storage.
#pragma once

#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "configs/timing.h"
#include "partitioner/layout.h"

namespace spillway::partitioner {

enum class Space : std::uint8_t { kDram, kScratchpad, kAccumulator };

struct Placement {
  std::int64_t origin = 0;                      ///< byte address of coordinate (0, ..., 0); may be negative
  std::array<std::int64_t, kMaxRank> stride{};  ///< bytes per step of each factor
  bool operator==(const Placement&) const = default;
};

struct Operand {
  StorageId storage = kNone;
  Space space = Space::kScratchpad;
  std::int8_t engine = 0;  ///< whose accumulators, for kAccumulator: index of the matrix engine
  configs::Format format = configs::Format::kInt8;  ///< of the elements as they lie here (accumulators differ)
  Box box;                                          ///< storage coordinates
  Placement at;

  [[nodiscard]] std::int64_t element_bytes() const { return configs::bytes_of(format); }
  [[nodiscard]] std::int64_t bytes() const { return box.elements() * element_bytes(); }
};

enum class CommandKind : std::uint8_t {
  kLoad,    ///< DMA: operands [DRAM source, scratchpad destination], same box; or, with a kernel, a piece of a Concat:
            ///< boxes of two storages that correspond factor by factor (Layout::factor_map)
  kStore,   ///< DMA: operands [scratchpad source, DRAM destination], same box
  kCopy,    ///< DMA: operands [scratchpad source, scratchpad destination]: a halo (same box; ascending addresses, so a
            ///< window may be shifted down over itself), or, with a kernel, a piece of a Concat as for kLoad
  kGather,  ///< DMA: operands [scratchpad indices, DRAM table (whole rows), scratchpad destination]; steps has the node
  kMatrix,  ///< operands [a, b, accumulator destination]
  kVector,  ///< operands: inputs, then outputs (kernel says which)
};
inline constexpr int kCommandKindCount = 6;
[[nodiscard]] std::string_view name_of(CommandKind kind);

/// One operator of a command's kernel. inputs[i] answers the node's input i.
struct KernelInput {
  enum class From : std::uint8_t { kOmitted, kOperand, kStep } from = From::kOmitted;
  int index = 0;            ///< operand index within the command, or earlier step
  TensorId tensor = kNone;  ///< the logical tensor consumed (a view of the operand's storage)
};
struct KernelStep {
  NodeId node = kNone;
  std::vector<KernelInput> inputs;
};
/// A chain of operators run by one command; values between steps stay in vector registers.
/// outputs: step -> operand index that receives it. A matrix kernel has one step. A kernel whose first input is an
/// accumulator operand has that operand as the *result of a matrix node*: it starts with a step for that node
/// (KernelStep with `drain` true), which adds the bias input if the node has one.
struct Kernel {
  struct Output {
    int step = 0;
    int operand = 0;
  };
  std::vector<KernelStep> steps;
  std::vector<Output> outputs;
  bool drain = false;  ///< step 0 is the drain of a matrix node: inputs {accumulator operand, bias or omitted}
};

struct Wait {
  std::int32_t queue = 0;
  std::int32_t count = 0;  ///< completed commands of that queue
  bool operator==(const Wait&) const = default;
};

struct Command {
  CommandKind kind = CommandKind::kLoad;
  std::int16_t queue = 0;
  std::int32_t group = 0;  ///< of the Plan, for reports
  std::int32_t kernel = kNone;
  std::uint32_t first_operand = 0;
  std::uint32_t first_wait = 0;
  std::uint32_t first_box = 0;  ///< one logical box per kernel step: the region of the step's output 0
                                ///< (kStatistics: the region of its input 0 that is accumulated)
  std::uint16_t operands = 0;
  std::uint16_t waits = 0;
  std::uint16_t boxes = 0;
  std::int64_t prior = 0;        ///< kStatistics: elements per channel accumulated before this command (0: initialise)
  configs::MatrixShape matrix;   ///< kMatrix
  configs::VectorWork vector{};  ///< kVector
};

/// Queues are numbered: DMA channels, then matrix engines, then vector engines.
struct Queues {
  int dma = 1, matrix = 1, vector = 1;
  [[nodiscard]] int count() const { return dma + matrix + vector; }
  [[nodiscard]] int first_matrix() const { return dma; }
  [[nodiscard]] int first_vector() const { return dma + matrix; }
};

struct Program {
  std::string name;  ///< of the graph
  Graph graph;       ///< canonical; meaning of nodes and tensors (constants are referenced, not held)
  Layout layout;
  configs::Precision precision;
  Queues queues;
  configs::Bytes scratchpad_bytes = 0;   ///< budget it was made for
  configs::Bytes accumulator_bytes = 0;  ///< per matrix engine
  configs::Bytes dram_bytes = 0;
  std::vector<std::string> group_names;
  std::vector<Kernel> kernels;
  std::vector<Command> commands;  ///< in issue order; each queue's own order is this order restricted to it
  std::vector<Operand> operand_pool;
  std::vector<Wait> wait_pool;
  std::vector<Box> box_pool;

  [[nodiscard]] std::span<const Operand> operands(const Command& c) const {
    return std::span(operand_pool).subspan(c.first_operand, c.operands);
  }
  [[nodiscard]] std::span<const Wait> waits(const Command& c) const {
    return std::span(wait_pool).subspan(c.first_wait, c.waits);
  }
  [[nodiscard]] std::span<const Box> boxes(const Command& c) const {
    return std::span(box_pool).subspan(c.first_box, c.boxes);
  }
};

/// Of a kMatrix command.
[[nodiscard]] inline configs::ProductFormats operand_formats(const Program& program, const Command& command) {
  const auto operands = program.operands(command);
  return {operands[0].format, operands[1].format};
}

/// The contiguous DRAM runs of an operand, in ascending order of the box's row-major walk, merged where adjacent:
/// calls visit(address, bytes). Used by the DMA engine; a box dense in memory is one run.
template <typename Visit>
void for_each_run(const Operand& operand, Visit visit);

/// One line per command, readable: "c17 q0 load act conv1.out [0:1,0:20,0:512,0:128] -> sp 0x1000 wait v3:12".
void disassemble(const Program& program, std::ostream& out);

/// Binary form, versioned, with bounds checked on load. Throws Error(kBadInput) naming the file.
void save_program(const Program& program, const std::string& path);
[[nodiscard]] Program load_program(const std::string& path);

// --- implementation ---

template <typename Visit>
void for_each_run(const Operand& operand, Visit visit) {
  const Box& box = operand.box;
  if (box.empty()) return;
  // Fold dimensions from the innermost while they are dense behind what is already folded.
  std::int64_t run = operand.element_bytes();
  int outer = box.rank;
  while (outer > 0 && (box.extent[outer - 1] == 1 || operand.at.stride[outer - 1] == run)) {
    run *= box.extent[outer - 1];
    --outer;
  }
  std::int64_t base = operand.at.origin;
  for (int d = 0; d < box.rank; ++d) base += operand.at.stride[d] * box.begin[d];
  std::array<std::int32_t, kMaxRank> index{};
  while (true) {
    std::int64_t address = base;
    for (int d = 0; d < outer; ++d) address += operand.at.stride[d] * index[d];
    visit(address, run);
    int d = outer - 1;
    while (d >= 0 && ++index[d] == box.extent[d]) index[d--] = 0;
    if (d < 0) return;
  }
}

}  // namespace spillway::partitioner
