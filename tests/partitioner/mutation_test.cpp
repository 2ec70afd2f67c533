// The third witness on Programs as the partitioner makes them: each is proven, and each thing broken in it is found.
#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>

#include "partitioner/footprint.h"
#include "partitioner/partitioner.h"

using namespace spillway;
using namespace spillway::partitioner;

namespace {

struct Case {
  std::string graph;
  Strategy strategy = Strategy::kFused;
  configs::Bytes budget = 0;
};

// Small enough to be tiled, large enough for Programs of hundreds of commands rather than a hundred thousand.
const std::vector<Case> kCases{
    {"text_encoder", Strategy::kFused, 64 << 10}, {"text_encoder", Strategy::kLayerByLayer, 32 << 10},
    {"unet", Strategy::kFused, 8 << 20},          {"unet", Strategy::kLayerByLayer, 128 << 10},
    {"vae_decoder", Strategy::kFused, 256 << 10}, {"vae_encoder", Strategy::kLayerByLayer, 128 << 10}};

Program make_program(const Case& c) {
  const Graph graph = workloads::canonicalise(workloads::zoo_graph("sd-tiny", c.graph));
  configs::NpuConfig npu = configs::load_config("edge-8mb");
  npu.scratchpad.size = c.budget;
  auto planned = partition(graph, npu, {.strategy = c.strategy});
  REQUIRE(std::holds_alternative<Plan>(planned));
  return lower(graph, npu, std::get<Plan>(planned));
}

std::string text_of(const Case& c, const Program& program) {
  std::string text;
  for (const Violation& violation : check(program)) {
    text += c.graph + " " + std::string(name_of(c.strategy)) + ": " + violation.what + "\n";
  }
  return text;
}

bool caught(const Program& program) { return !check(program, 1).empty(); }

/// About `count` indices spread evenly over [0, size).
std::vector<std::size_t> sample(std::size_t size, std::size_t count) {
  std::vector<std::size_t> chosen;
  const std::size_t step = std::max<std::size_t>(1, size / count);
  for (std::size_t i = 0; i < size; i += step) chosen.push_back(i);
  return chosen;
}

std::string line_of(const Program& program, std::size_t command) {
  const Command& c = program.commands[command];
  std::ostringstream text;
  text << 'c' << command << ' ' << name_of(c.kind) << " of " << program.group_names[c.group];
  return text.str();
}

/// Whether a load or copy brings what already lies there, untouched since an earlier tile or group: losing it, or only
/// the part `lost`, loses nothing.
bool already_there(const Program& program, std::size_t load, const Box& lost) {
  const CommandKind kind = program.commands[load].kind;
  if (kind != CommandKind::kLoad && kind != CommandKind::kCopy) return false;
  constexpr std::int64_t kAnywhere = std::int64_t{1} << 40;
  Operand wanted = program.operands(program.commands[load])[1];
  wanted.box = lost;
  const Footprint bytes = footprint_of(wanted, kAnywhere).footprint;
  for (std::size_t c = load; c-- > 0;) {
    const Command& command = program.commands[c];
    const auto operands = program.operands(command);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      bool written = command.kind != CommandKind::kVector && i + 1 == operands.size();
      if (command.kind == CommandKind::kVector) {
        for (const Kernel::Output& output : program.kernels[command.kernel].outputs) {
          written |= output.operand == static_cast<int>(i);
        }
      }
      if (!written || operands[i].space != Space::kScratchpad ||
          !share_bytes(footprint_of(operands[i], kAnywhere).footprint, bytes)) {
        continue;
      }
      return operands[i].storage == wanted.storage && operands[i].at == wanted.at &&
             operands[i].box.contains(wanted.box);
    }
  }
  return false;
}

constexpr std::size_t kSamples = 150;

}  // namespace

TEST_CASE("the partitioner's Programs are proven", "[partitioner][mutation]") {
  for (const Case& c : kCases) CHECK(text_of(c, make_program(c)) == "");
}

TEST_CASE("every wait of a lowered Program is needed", "[partitioner][mutation]") {
  for (const Case& c : kCases) {
    const Program clean = make_program(c);
    if (caught(clean)) continue;  // told by the test above
    std::string idle;
    std::size_t dropped = 0;
    for (const std::size_t i : sample(clean.commands.size(), kSamples)) {
      const Command& command = clean.commands[i];
      for (int w = 0; w < command.waits; ++w) {
        Program p = clean;
        p.wait_pool[command.first_wait + w] = p.wait_pool[command.first_wait + command.waits - 1];
        --p.commands[i].waits;
        ++dropped;
        if (!caught(p)) idle += c.graph + " " + line_of(clean, i) + " wait " + std::to_string(w) + "\n";
      }
    }
    CHECK(idle == "");
    CHECK(dropped > 0);
  }
}

TEST_CASE("every shrunk or shifted operand of a lowered Program is found", "[partitioner][mutation]") {
  for (const Case& c : kCases) {
    const Program clean = make_program(c);
    if (caught(clean)) continue;
    std::string missed;
    for (const std::size_t i : sample(clean.operand_pool.size(), kSamples)) {
      const auto owner = std::find_if(clean.commands.begin(), clean.commands.end(), [&](const Command& command) {
        return i >= command.first_operand && i < command.first_operand + std::size_t{command.operands};
      });
      const std::string place = c.graph + " " + std::string(name_of(c.strategy)) + " " +
                                line_of(clean, static_cast<std::size_t>(owner - clean.commands.begin())) + " operand " +
                                std::to_string(i - owner->first_operand);
      const Operand& operand = clean.operand_pool[i];
      for (int f = 0; f < operand.box.rank; ++f) {
        if (operand.box.extent[f] == 1) continue;
        Program p = clean;
        --p.operand_pool[i].box.extent[f];
        if (!caught(p)) missed += place + " shrunk at its end of factor " + std::to_string(f) + "\n";
        ++p.operand_pool[i].box.begin[f];
        if (!caught(p)) missed += place + " shrunk at its begin of factor " + std::to_string(f) + "\n";
      }
      for (const std::int64_t shift : {-operand.element_bytes(), operand.element_bytes()}) {
        Program p = clean;
        p.operand_pool[i].at.origin += shift;
        if (!caught(p)) missed += place + " shifted by " + std::to_string(shift) + "\n";
      }
    }
    CHECK(missed == "");
  }
}

TEST_CASE("every shrunk transfer, dropped command and cut kernel of a lowered Program is found",
          "[partitioner][mutation]") {
  for (const Case& c : kCases) {
    const Program clean = make_program(c);
    if (caught(clean)) continue;
    std::string missed;
    for (const std::size_t i : sample(clean.commands.size(), kSamples)) {
      const Command& command = clean.commands[i];
      const std::string place = c.graph + " " + std::string(name_of(c.strategy)) + " " + line_of(clean, i);
      const bool transfer = (command.kind == CommandKind::kLoad || command.kind == CommandKind::kStore ||
                             command.kind == CommandKind::kCopy) &&
                            command.kernel == kNone;
      for (int f = 0; transfer && f < clean.operands(command)[0].box.rank; ++f) {
        Program p = clean;
        Operand* operands = &p.operand_pool[command.first_operand];
        if (operands[0].box.extent[f] == 1) continue;
        --operands[0].box.extent[f];
        --operands[1].box.extent[f];
        Box lost = operands[1].box;
        lost.set(f, lost.end(f), 1);
        if (!caught(p) && !already_there(clean, i, lost))
          missed += place + " without the last of factor " + std::to_string(f) + "\n";
      }
      for (int s = 0; s < command.boxes; ++s) {
        const Box& box = clean.box_pool[command.first_box + s];
        for (int d = 0; d < box.rank; ++d) {
          if (box.extent[d] == 1) continue;
          Program p = clean;
          --p.box_pool[command.first_box + s].extent[d];
          if (!caught(p)) missed += place + " step " + std::to_string(s) + " cut in " + std::to_string(d) + "\n";
        }
      }
      {
        // It happens, but does nothing: a transfer of another box's place, the work of the command before it.
        Program p = clean;
        std::size_t twin = i;
        while (twin > 0 && clean.commands[twin - 1].queue != command.queue) --twin;
        if (twin > 0) {
          const std::uint16_t waits = command.waits;
          const std::uint32_t first_wait = command.first_wait;
          p.commands[i] = clean.commands[twin - 1];
          p.commands[i].waits = waits;
          p.commands[i].first_wait = first_wait;
          const Box& all = clean.operands(command).back().box;
          if (!caught(p) && !already_there(clean, i, all)) missed += place + " replaced by its predecessor\n";
        }
      }
      if (command.prior > 0) {
        Program p = clean;
        --p.commands[i].prior;
        if (!caught(p)) missed += place + " with a wrong prior count\n";
      }
    }
    CHECK(missed == "");
  }
}
