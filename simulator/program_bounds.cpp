#include "simulator/program_bounds.h"

#include <string>

namespace spillway::simulator {

using partitioner::Command;
using partitioner::CommandKind;
using partitioner::Operand;
using partitioner::Program;
using partitioner::Space;

namespace {

std::string number(std::int64_t n) { return std::to_string(n); }

class BoundsCheck {
 public:
  BoundsCheck(const Program& program, const configs::NpuConfig& npu) : program_(program), npu_(npu) {}

  void run() {
    memories();
    queues();
    for (std::size_t c = 0; c < program_.commands.size(); ++c) {
      command_ = c;
      command(program_.commands[c]);
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    internal_error("command " + number(static_cast<std::int64_t>(command_)) + " (" +
                   std::string(name_of(program_.commands[command_].kind)) + "): " + what);
  }

  void memories() const {
    const auto need = [](const char* what, Bytes wanted, Bytes there) {
      if (wanted <= there) return;
      throw Error(ErrorKind::kDoesNotFit, Place{},
                  std::string("the program needs ") + number(wanted) + " bytes of " + what + " when the NPU has " +
                      number(there),
                  "make the program for this config, or give the NPU more");
    };
    need("scratchpad", program_.scratchpad_bytes, npu_.scratchpad.size);
    need("accumulators", program_.accumulator_bytes, npu_.matrix.accumulator_bytes);
    need("DRAM", program_.dram_bytes, npu_.dram.size);
  }

  void queues() const {
    const auto need = [](const char* what, int wanted, int there) {
      if (wanted >= 0 && wanted <= there) return;
      throw Error(ErrorKind::kBadInput, Place{},
                  std::string("the program uses ") + number(wanted) + " " + what + " when the NPU has " + number(there),
                  "make the program for this config");
    };
    need("DMA channels", program_.queues.dma, npu_.dma.channels);
    need("matrix engines", program_.queues.matrix, npu_.matrix.count);
    need("vector engines", program_.queues.vector, npu_.vector.count);
  }

  void command(const Command& c) const {
    if (c.group < 0 || c.group >= static_cast<std::int32_t>(program_.group_names.size())) fail("is of no group");
    const partitioner::Queues& q = program_.queues;
    const bool matrix = c.kind == CommandKind::kMatrix;
    const bool vector = c.kind == CommandKind::kVector;
    const int first = matrix ? q.first_matrix() : vector ? q.first_vector() : 0;
    const int count = matrix ? q.matrix : vector ? q.vector : q.dma;
    if (c.queue < first || c.queue >= first + count) fail("is in queue " + number(c.queue) + " of another engine");
    if (std::uint64_t{c.first_operand} + c.operands > program_.operand_pool.size() ||
        std::uint64_t{c.first_wait} + c.waits > program_.wait_pool.size()) {
      fail("refers to operands or waits that are not there");
    }
    for (const partitioner::Wait& wait : program_.waits(c)) {
      if (wait.queue < 0 || wait.queue >= q.count()) fail("waits for queue " + number(wait.queue));
    }
    spaces(c);
    for (const Operand& operand : program_.operands(c)) bounds(operand);
  }

  void spaces(const Command& c) const {
    const auto operands = program_.operands(c);
    const auto expect = [&](std::initializer_list<Space> wanted) {
      bool same = operands.size() == wanted.size();
      for (std::size_t i = 0; same && i < operands.size(); ++i) same = operands[i].space == wanted.begin()[i];
      if (!same) fail("has operands in the wrong memories");
    };
    switch (c.kind) {
      case CommandKind::kLoad:
        return expect({Space::kDram, Space::kScratchpad});
      case CommandKind::kStore:
        return expect({Space::kScratchpad, Space::kDram});
      case CommandKind::kCopy:
        return expect({Space::kScratchpad, Space::kScratchpad});
      case CommandKind::kGather:
        return expect({Space::kScratchpad, Space::kDram, Space::kScratchpad});
      case CommandKind::kMatrix:
        return expect({Space::kScratchpad, Space::kScratchpad, Space::kAccumulator});
      case CommandKind::kVector:
        for (const Operand& operand : operands) {
          if (operand.space == Space::kDram) fail("reads or writes DRAM");
        }
    }
  }

  void bounds(const Operand& operand) const {
    const auto& storages = program_.layout.storages;
    if (operand.storage < 0 || operand.storage >= static_cast<std::int32_t>(storages.size())) fail("is of no storage");
    const partitioner::Storage& storage = storages[static_cast<std::size_t>(operand.storage)];
    const std::string name = "'" + storage.name + "'";
    if (operand.box.rank != storage.rank || !storage.whole().contains(operand.box)) {
      fail("reaches outside of " + name);
    }
    if (operand.box.empty()) return;
    const ByteRange range = byte_range(operand);
    Bytes size = 0;
    switch (operand.space) {
      case Space::kDram:
        size = program_.dram_bytes;
        break;
      case Space::kScratchpad:
        size = program_.scratchpad_bytes;
        break;
      case Space::kAccumulator:
        size = program_.accumulator_bytes;
        if (operand.engine < 0 || operand.engine >= program_.queues.matrix) fail("uses accumulators of no engine");
        break;
    }
    if (range.begin < 0 || range.end > size) {
      fail("bytes [" + number(range.begin) + ", " + number(range.end) + ") of " + name + " are outside of " +
           number(size));
    }
  }

  const Program& program_;
  const configs::NpuConfig& npu_;
  std::size_t command_ = 0;
};

}  // namespace

ByteRange byte_range(const Operand& operand) {
  std::int64_t low = operand.at.origin;
  std::int64_t high = low;
  bool fits = true;
  for (int d = 0; d < operand.box.rank; ++d) {
    const std::int64_t stride = operand.at.stride[d];
    std::int64_t from = 0, span = 0;
    fits = fits && !__builtin_mul_overflow(stride, std::int64_t{operand.box.begin[d]}, &from) &&
           !__builtin_mul_overflow(stride, std::int64_t{operand.box.extent[d]} - 1, &span) &&
           !__builtin_add_overflow(low, from + (span < 0 ? span : 0), &low) &&
           !__builtin_add_overflow(high, from + (span > 0 ? span : 0), &high);
  }
  if (!fits || __builtin_add_overflow(high, operand.element_bytes(), &high)) {
    internal_error("an operand's addresses overflow");
  }
  return {low, high};
}

void check_bounds(const Program& program, const configs::NpuConfig& npu) { BoundsCheck(program, npu).run(); }

}  // namespace spillway::simulator
