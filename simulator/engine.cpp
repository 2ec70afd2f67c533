#include "simulator/engine.h"

#include <algorithm>

namespace spillway::simulator {

Engine::Engine(const sc_core::sc_module_name& name, Machine& machine, int queue)
    : sc_module(name), machine_(machine), queue_index_(queue) {
  SC_METHOD(work);
}

void Engine::push(const CommandQueue::Entry& entry) {
  queue_.push(entry);
  if (asleep_) wake_.notify();
}

sc_core::sc_event& Engine::room() {
  room_awaited_ = true;
  return room_;
}

void Engine::work() {
  machine_.guarded([this] {
    asleep_ = false;
    while (true) {
      if (running_ != partitioner::kNone) {
        if (!step_.ends) step_ = advance();
        if (step_.at > now()) return next_trigger(ticks(step_.at - now()));
        if (!step_.ends) continue;
        finish();
      }
      if (!start_next()) return;
    }
  });
}

/// False if there is nothing to start now: the process has been told what to wait for.
bool Engine::start_next() {
  if (queue_.empty()) {
    asleep_ = true;
    next_trigger(wake_);
    return false;
  }
  const CommandQueue::Entry entry = queue_.front();
  if (entry.available > now()) {
    next_trigger(ticks(entry.available - now()));
    return false;
  }
  const auto c = static_cast<std::size_t>(entry.command);
  CommandTimes& times = machine_.run.commands[c];
  if (!looked_at_) {
    times.issue = std::max(last_end_, entry.available);
    looked_at_ = true;
  }
  const partitioner::Command& command = machine_.program.commands[c];
  if (const partitioner::Wait* wait = machine_.tokens.first_unmet(machine_.program.waits(command))) {
    machine_.tokens.await(queue_index_, *wait);
    next_trigger(wake_);
    return false;
  }
  queue_.pop();
  if (room_awaited_) {
    room_awaited_ = false;
    room_.notify();
  }
  looked_at_ = false;
  running_ = entry.command;
  times.start = now();
  step_ = Step{};
  begin(entry.command);
  return true;
}

void Engine::finish() {
  const std::int32_t c = running_;
  running_ = partitioner::kNone;
  last_end_ = now();
  machine_.run.commands[static_cast<std::size_t>(c)].end = last_end_;
  end();
  machine_.run.order.push_back(c);
  ++machine_.completed;
  if (machine_.completes) machine_.completes(c);
  machine_.complete(queue_index_);
}

}  // namespace spillway::simulator
