// What every engine does: takes the commands of its queue one after the other, in order; starts one when its waits are
// met; raises its token when it is complete. What a command does in between is the derived module's.
#pragma once

#include "simulator/command_queue.h"
#include "simulator/machine.h"

namespace spillway::simulator {

class Engine : public sc_core::sc_module {
 public:
  [[nodiscard]] bool full() const { return queue_.full(); }
  /// The command processor's end of the queue.
  void push(const CommandQueue::Entry& entry);
  /// Notified when a full queue has room again, if asked for.
  [[nodiscard]] sc_core::sc_event& room();
  /// A wait that this engine registered on the token board is met.
  void wake() { wake_.notify(); }

 protected:
  /// When the engine wants to go on with its command, and whether that is the command's end.
  struct Step {
    Cycles at = 0;
    bool ends = false;
  };

  Engine(const sc_core::sc_module_name& name, Machine& machine, int queue);

  virtual void begin(std::int32_t command) = 0;  ///< at now()
  virtual Step advance() = 0;                    ///< called at now(), until it has answered with the end
  virtual void end() {}

  Machine& machine_;
  const int queue_index_;

 private:
  SC_HAS_PROCESS(Engine);
  void work();
  bool start_next();
  void finish();

  CommandQueue queue_;
  sc_core::sc_event wake_, room_;
  bool asleep_ = false;  // waits for the queue to fill
  bool room_awaited_ = false;
  bool looked_at_ = false;  // the head's issue time is recorded
  std::int32_t running_ = partitioner::kNone;
  Step step_;
  Cycles last_end_ = 0;
};

}  // namespace spillway::simulator
