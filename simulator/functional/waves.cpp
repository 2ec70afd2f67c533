#include "simulator/functional/waves.h"

#include <algorithm>

#include "simulator/functional/owners.h"

namespace spillway::simulator {

using partitioner::Command;
using partitioner::CommandKind;
using partitioner::Operand;
using partitioner::Program;
using partitioner::Space;

namespace {

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

struct Touch {
  Space space = Space::kDram;
  int engine = 0;
  AddressRange range;  // of whole lines of owners
  bool written = false;
  int wave = 0;

  [[nodiscard]] bool conflicts(const Touch& other) const {
    return (written || other.written) && space == other.space && engine == other.engine &&
           range.begin < other.range.end && other.range.begin < range.end;
  }
};

}  // namespace

AddressRange range_of(const Operand& operand) {
  AddressRange range{operand.at.origin, operand.at.origin + operand.element_bytes()};
  for (int d = 0; d < operand.box.rank; ++d) {
    const std::int64_t stride = operand.at.stride[at(d)];
    const std::int64_t low = stride * operand.box.begin[at(d)], high = stride * (operand.box.end(d) - 1);
    range.begin += std::min(low, high);
    range.end += std::max(low, high);
  }
  return range;
}

bool writes_operand(const Program& program, const Command& command, std::size_t operand) {
  switch (command.kind) {
    case CommandKind::kLoad:
    case CommandKind::kStore:
    case CommandKind::kCopy:
      return operand == 1;
    case CommandKind::kGather:
      return operand == 2;
    case CommandKind::kMatrix:
    case CommandKind::kVector:
      break;
  }
  const auto& outputs = program.kernels[at(command.kernel)].outputs;
  return (command.kind == CommandKind::kMatrix && operand == 2) ||
         std::any_of(outputs.begin(), outputs.end(), [&](const auto& o) { return at(o.operand) == operand; });
}

std::vector<std::vector<std::int32_t>> waves_of(const Program& program, std::span<const std::int32_t> order) {
  std::vector<std::vector<std::int32_t>> waves;
  std::vector<Touch> all, own;
  for (const std::int32_t id : order) {
    const Command& command = program.commands[at(id)];
    const auto operands = program.operands(command);
    own.clear();
    int wave = 0;
    for (std::size_t o = 0; o < operands.size(); ++o) {
      const Operand& operand = operands[o];
      if (operand.box.empty()) continue;
      Touch touch{operand.space, operand.space == Space::kAccumulator ? operand.engine : 0, range_of(operand),
                  writes_operand(program, command, o), 0};
      touch.range.begin -= (touch.range.begin % Owners::kLine + Owners::kLine) % Owners::kLine;
      touch.range.end += Owners::kLine;
      for (const Touch& earlier : all) {
        if (earlier.wave >= wave && touch.conflicts(earlier)) wave = earlier.wave + 1;
      }
      own.push_back(touch);
    }
    for (Touch& touch : own) {
      touch.wave = wave;
      all.push_back(touch);
    }
    if (at(wave) >= waves.size()) waves.resize(at(wave) + 1);
    waves[at(wave)].push_back(id);
  }
  return waves;
}

}  // namespace spillway::simulator
