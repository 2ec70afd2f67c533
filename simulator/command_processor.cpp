#include "simulator/command_processor.h"

#include <algorithm>
#include <limits>

namespace spillway::simulator {

CommandProcessor::CommandProcessor(const sc_core::sc_module_name& name, Machine& machine, std::vector<Engine*> engines)
    : sc_module(name), machine_(machine), engines_(std::move(engines)) {
  SC_METHOD(fetch);
}

// A queue with room now still has it when fetch gets there: only fetch fills it. So commands are handed over with the
// time of their fetch, ahead of the kernel's time.
void CommandProcessor::fetch() {
  machine_.guarded([this] {
    const auto& commands = machine_.program.commands;
    if (now() > fetched_) fetched_ = resumed_ = now();
    for (; next_ < commands.size(); ++next_) {
      Engine& engine = *engines_[static_cast<std::size_t>(commands[next_].queue)];
      if (engine.full()) return next_trigger(engine.room());
      ++fetched_;
      machine_.run.fetch_cycles[next_] =
          static_cast<std::int32_t>(std::min<Cycles>(fetched_ - resumed_, std::numeric_limits<std::int32_t>::max()));
      engine.push({static_cast<std::int32_t>(next_), fetched_});
    }
  });
}

}  // namespace spillway::simulator
