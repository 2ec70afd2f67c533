// Split is Slices, which are addressing only.
#include <algorithm>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

void split_into_slices(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    const Node& split = rewriter.node(id);
    if (split.op != "Split" || split.inputs.size() != 1) continue;
    const auto rank = static_cast<std::int64_t>(rewriter.tensor(split.inputs[0]).shape.size());
    const std::int64_t given = split.integer("axis", 0);
    const std::int64_t axis = given < 0 ? given + rank : given;
    std::vector<Node> slices;
    std::int64_t from = 0;
    for (std::size_t i = 0; i < split.outputs.size(); ++i) {
      if (split.outputs[i] == kNone) continue;  // its extent is known to nobody: see below
      const std::int64_t extent = rewriter.tensor(split.outputs[i]).shape[axis];
      Node slice;
      slice.name = split.name + ":" + std::to_string(i);
      slice.op = "Slice";
      slice.inputs = {split.inputs[0]};
      slice.outputs = {split.outputs[i]};
      slice.attributes["axes"] = std::vector<std::int64_t>{axis};
      slice.attributes["starts"] = std::vector<std::int64_t>{from};
      slice.attributes["ends"] = std::vector<std::int64_t>{from + extent};
      from += extent;
      slices.push_back(std::move(slice));
    }
    // An omitted output hides where the next begins unless the lengths are given; such a Split stays as it is.
    if (from != rewriter.tensor(split.inputs[0]).shape[axis] || slices.empty()) continue;
    const auto needed = std::find_if(slices.begin(), slices.end(), [&](const Node& slice) {
      return rewriter.is_output(slice.outputs[0]) || !rewriter.tensor(slice.outputs[0]).consumers.empty();
    });
    if (needed != slices.end()) needed->origins = split.origins;
    rewriter.replace(std::vector{id}, std::move(slices));
  }
}

}  // namespace spillway::workloads
