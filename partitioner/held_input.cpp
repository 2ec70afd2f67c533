#include "partitioner/held_input.h"

#include "partitioner/loop_cost.h"
#include "partitioner/loop_energy.h"

namespace spillway::partitioner {

bool can_be_kept(const Model& model, StorageId storage) {
  constexpr Bytes kLeastConstant = 16384;
  const Storage& s = model.layout.storages[storage];
  return s.is_input && (!model.graph.tensors[s.root].is_constant() || s.bytes() >= kLeastConstant);
}

bool is_loaded(const Model& model, const Residency& residency) { return model.layout.storages[residency.storage].is_input; }

WholeLoad whole_load(const GroupModel& group, int local) {
  const Storage& storage = group.storage(local);
  const Box all = storage.whole();
  const auto c = static_cast<std::size_t>(storage.storage_class);
  WholeLoad load;
  load.moves.read[c] = storage.bytes();
  load.moves.read_elements[c] = all.elements();
  load.cycles = LoopPricer(group).dma(storage, all).channel;
  const LoopEnergy::Transfer transfer = EnergyPricer(group).dma(local, all);
  load.energy.scratchpad_pj = transfer.scratchpad_pj;
  load.energy.dram_pj = transfer.dram_pj;
  return load;
}

}  // namespace spillway::partitioner
