#include "partitioner/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ostream>

#include "configs/error.h"
#include "partitioner/describe.h"

namespace spillway::partitioner {

std::string_view name_of(CommandKind kind) {
  switch (kind) {
    case CommandKind::kLoad:
      return "load";
    case CommandKind::kStore:
      return "store";
    case CommandKind::kCopy:
      return "copy";
    case CommandKind::kGather:
      return "gather";
    case CommandKind::kMatrix:
      return "matrix";
    case CommandKind::kVector:
      return "vector";
  }
  internal_error("unknown command kind");
}

namespace {

using Buffer = fmt::memory_buffer;

/// How many leading operands are inputs, for the arrow; a vector command's kernel says which are outputs.
int input_count(const Program& program, const Command& command) {
  switch (command.kind) {
    case CommandKind::kLoad:
    case CommandKind::kStore:
    case CommandKind::kCopy:
      return 1;
    case CommandKind::kGather:
    case CommandKind::kMatrix:
      return 2;
    case CommandKind::kVector:
      break;
  }
  int inputs = command.operands;
  if (command.kernel != kNone) {
    for (const Kernel::Output& output : program.kernels[command.kernel].outputs) {
      inputs = std::min(inputs, output.operand);
    }
  }
  return inputs;
}

void put_kernel(Buffer& out, const Program& program, const Kernel& kernel) {
  const auto into = std::back_inserter(out);
  for (std::size_t s = 0; s < kernel.steps.size(); ++s) {
    const workloads::Node& node = program.graph.nodes[kernel.steps[s].node];
    fmt::format_to(into, "{}{}{}", s == 0 ? " {" : "; ", kernel.drain && s == 0 ? "drain " : "", node.name);
  }
  fmt::format_to(into, "}}");
}

}  // namespace

void disassemble(const Program& program, std::ostream& out) {
  Buffer line;
  const auto into = std::back_inserter(line);
  for (std::size_t c = 0; c < program.commands.size(); ++c) {
    const Command& command = program.commands[c];
    line.clear();
    fmt::format_to(into, "c{} {} {}", c, describe_queue(program.queues, command.queue), name_of(command.kind));
    if (command.kernel != kNone) put_kernel(line, program, program.kernels[command.kernel]);
    const int inputs = input_count(program, command);
    const auto operands = program.operands(command);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (static_cast<int>(i) == inputs) fmt::format_to(into, " ->");
      fmt::format_to(into, " {}", describe(program, operands[i]));
    }
    if (command.prior > 0) fmt::format_to(into, " prior {}", command.prior);
    if (command.kind == CommandKind::kMatrix) {
      const auto& m = command.matrix;
      fmt::format_to(into, " m{} n{} k{} b{}", m.m, m.n, m.k, m.batch);
    }
    const auto waits = program.waits(command);
    for (std::size_t w = 0; w < waits.size(); ++w) {
      fmt::format_to(into, "{}{}:{}", w == 0 ? " wait " : ",", describe_queue(program.queues, waits[w].queue),
                     waits[w].count);
    }
    line.push_back('\n');
    out.write(line.data(), static_cast<std::streamsize>(line.size()));
  }
}

}  // namespace spillway::partitioner
