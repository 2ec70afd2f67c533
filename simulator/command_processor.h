// Fetches the command stream in order, one command a cycle, into the engines' queues. A full queue stops fetch.
#pragma once

#include <vector>

#include "simulator/engine.h"

namespace spillway::simulator {

class CommandProcessor : public sc_core::sc_module {
 public:
  CommandProcessor(const sc_core::sc_module_name& name, Machine& machine, std::vector<Engine*> engines);

 private:
  SC_HAS_PROCESS(CommandProcessor);
  void fetch();

  Machine& machine_;
  std::vector<Engine*> engines_;  // by queue
  std::size_t next_ = 0;
  Cycles fetched_ = 0;  // when the last command was
  Cycles resumed_ = 0;  // since when fetch has run unhindered
};

}  // namespace spillway::simulator
