// Which attentions run in blocks of keys. While a block's keys and values stay all queries pass, so what the blocks so
// far have come to goes through DRAM once for each; uncut, a row of scores needs all keys and values, and where these
// do not fit it is the scores that go through DRAM. Which is less depends on the rest of the plan, so plans of both
// kinds are made and compared.
#include <algorithm>
#include <array>

#include "partitioner/energy.h"
#include "partitioner/objective.h"
#include "partitioner/partitioner.h"
#include "workloads/key_blocks.h"

namespace spillway::partitioner {

namespace {

using workloads::KeyBlocks;
using workloads::KeyedAttention;

/// Keys and values of one of the batch (a head).
Bytes keys_and_values(const Graph& graph, const KeyedAttention& attention, const configs::NpuConfig& npu) {
  const auto matrix = [&](TensorId t) {
    const workloads::Shape& shape = graph.tensors[t].shape;
    return shape[shape.size() - 1] * shape[shape.size() - 2] * configs::bytes_of(npu.precision.activation);
  };
  return matrix(attention.keys) + matrix(attention.values);
}

/// With more blocks than this, queries, results and what there was before pass so often (3 n + 1 times a query's width)
/// that the scores, stored and loaded before and after Softmax (4 times the keys), would be less.
std::int64_t most_blocks(const Graph& graph, const KeyedAttention& attention) {
  const std::int64_t width = std::max<std::int64_t>(1, graph.output(graph.nodes[attention.mix]).shape.back());
  return (4 * attention.count / width + 3) / 3;
}

/// As many blocks as there can be of the size that `wanted` blocks would have.
std::int64_t blocks_of(std::int64_t keys, std::int64_t wanted) {
  const std::int64_t step = std::max<std::int64_t>(1, (keys + wanted - 1) / wanted);
  return (keys + step - 1) / step;
}

/// Ways to cut the graph's attentions, none of them twice; without the one that cuts nothing.
std::vector<KeyBlocks> ways(const Graph& graph, const configs::NpuConfig& npu, const Options& options) {
  std::vector<KeyedAttention> attentions;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    if (const auto found = workloads::keyed_attention(graph, id)) attentions.push_back(*found);
  }
  std::vector<KeyBlocks> found;
  const auto add = [&](auto wanted_of) {
    KeyBlocks way;
    for (const KeyedAttention& attention : attentions) {
      const std::int64_t wanted = std::min({wanted_of(attention), attention.count, workloads::kMostKeyBlocks});
      const std::int64_t blocks = blocks_of(attention.count, wanted);
      if (blocks > 1) way[graph.nodes[attention.softmax].name] = blocks;
    }
    if (!way.empty() && std::find(found.begin(), found.end(), way) == found.end()) found.push_back(std::move(way));
  };
  if (options.key_blocks > 1) {
    add([&](const KeyedAttention&) { return options.key_blocks; });
    return found;
  }
  // Blocks as large as the scratchpad and down to a quarter of it: what is best depends on what else wants room.
  constexpr std::array<std::int64_t, 3> kTimes = {1, 2, 4};
  for (const std::int64_t times : kTimes) {
    add([&](const KeyedAttention& attention) -> std::int64_t {
      const Bytes bytes = keys_and_values(graph, attention, npu);
      if (2 * bytes <= npu.scratchpad.size) return 1;
      const std::int64_t wanted = times * ((bytes + npu.scratchpad.size - 1) / npu.scratchpad.size);
      return wanted <= most_blocks(graph, attention) ? wanted : 1;
    });
  }
  return found;
}

}  // namespace

Proposal propose(const Graph& graph, const configs::NpuConfig& npu, const Options& options) {
  const bool may = options.strategy == Strategy::kFused && options.attention == Attention::kFused;
  std::vector<KeyBlocks> cuts;
  if (npu.scratchpad.size > 0 && (options.key_blocks > 1 || (options.key_blocks == 0 && may))) {
    cuts = ways(graph, npu, options);
  }
  std::vector<Proposal> proposals;
  if (options.key_blocks <= 1 || cuts.empty()) proposals.push_back({graph, partition(graph, npu, options)});
  for (const KeyBlocks& cut : cuts) {
    Proposal proposal{workloads::in_key_blocks(graph, cut), {}};
    proposal.outcome = partition(proposal.graph, npu, options);
    proposals.push_back(std::move(proposal));
  }
  // A row of scores that does not fit may be what nothing else fits for: any plan is better than none.
  std::vector<Bid> bids;
  std::vector<std::size_t> who;
  for (std::size_t i = 0; i < proposals.size(); ++i) {
    const auto* plan = std::get_if<Plan>(&proposals[i].outcome);
    if (plan == nullptr) continue;
    const auto energy = [&] { return energy_of(proposals[i].graph, npu, *plan).total_pj(); };
    const Bytes moved = plan->moves.total();
    bids.push_back({objective_value(options.objective, plan->cycles, moved, energy), plan->cycles, moved});
    who.push_back(i);
  }
  return std::move(proposals[bids.empty() ? 0 : who[best_of(options.objective, bids)]]);
}

}  // namespace spillway::partitioner
