#include "partitioner/workbench.h"

#include <algorithm>
#include <set>

namespace spillway::partitioner {

const Prepared& Workbench::group(int i, int j, int slices, const std::vector<StorageId>& remade,
                                 const std::vector<StorageId>& dropped) {
  auto& known = prepared_[{i, j, slices, remade, dropped}];
  if (!known) known = std::make_unique<Prepared>(prepare(i, j, slices, remade, dropped));
  return *known;
}

const Remake* Workbench::remake_of(StorageId storage) {
  auto& known = remakes_[storage];
  if (!known) known = remake(model, sequence, storage);
  return *known ? &**known : nullptr;
}

Prepared Workbench::prepare(int i, int j, int slices, const std::vector<StorageId>& remade,
                            const std::vector<StorageId>& dropped) {
  Prepared p;
  Nodes nodes;
  std::set<NodeId> own;
  for (int k = i; k < j; ++k) nodes.insert(nodes.end(), sequence.primitives[k].begin(), sequence.primitives[k].end());
  own.insert(nodes.begin(), nodes.end());
  p.dropped = dropped;
  for (const StorageId s : remade) {
    const Remake& chain = *remake_of(s);
    p.macs += chain.macs;
    for (const int position : chain.primitives) {
      for (const NodeId node : sequence.primitives[position]) {
        if (model.op(node).op_class == workloads::OpClass::kStatistics) continue;  // kept from the first time
        if (!own.insert(node).second) continue;
        nodes.push_back(node);
        p.dropped.push_back(model.output_of(node));
      }
    }
  }
  std::sort(nodes.begin(), nodes.end());
  if (nodes.size() > kMaxNodes) return p;
  int products = 0;
  for (const NodeId node : nodes) products += model.op(node).op_class == workloads::OpClass::kMatrix ? 1 : 0;
  if (products > kMaxProducts) return p;
  p.group = make_group(model, with_virtual(model, nodes), p.dropped);
  if (!p.group.ok()) {
    p.hopeful = true;
    return p;
  }
  if (p.group.stages.size() > kMaxStages) return p;
  if (!search.allowed(p.group)) return p;
  if (slices > 1 && !slice(p.group, 0, slices)) return p;
  p.structure = &search.structure_of(p.group);
  for (int l = 0; l < static_cast<int>(p.group.locals.size()); ++l) {
    const Local& local = p.group.locals[l];
    if (local.producer == kNone) {
      if (sequence.maker[local.storage] != kNone) p.sources.push_back(l);
    } else if (local.stored && !sequence.readers[local.storage].empty() &&
               sequence.readers[local.storage].back() >= j) {
      p.results.push_back(l);
    }
  }
  p.idle = std::none_of(p.group.locals.begin(), p.group.locals.end(), [](const Local& l) { return l.stored; });
  // A last stage that nobody needs is left out: the group without it is tried as well.
  const StageModel& root = p.group.stages[p.group.root_stage];
  const bool needed = std::any_of(root.nodes.begin(), root.nodes.end(), [&](const StageNode& node) {
    return node.output != kNone && p.group.locals[node.output].stored;
  });
  p.ok = p.idle || needed;
  p.hopeful = !p.ok;
  return p;
}

}  // namespace spillway::partitioner
