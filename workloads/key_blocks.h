// Attention whose keys are cut into blocks: the softmax of a row is put together from those of its parts, so no row of
// scores, and never all keys and values, need be in one place. Online softmax (Milakov and Gimelshein, 2018; as
// FlashAttention has it, Dao et al., 2022) as a rewrite of the graph that changes no result beyond rounding. With S the
// scores of a block of keys and V its values:
//
//   l = log(sum(exp(S)))                      per query
//   P = exp(S - l) V                          the block's own attention
//   L <- log(exp(L) + exp(l))                 of all blocks so far
//   O <- O + exp(l - L) (P - O)
//
// O is normalised at every step, so it stays within the range of the values, whatever the number format. A row whose
// scores are all below -30000 in one block (a mask) has no weight in it, exactly; one that is so in every block comes
// out as zeros, where Softmax has NaN (of -infinity) or the mean of what was meant to be masked.
#pragma once

#include <optional>
#include <vector>

#include "workloads/graph.h"

namespace spillway::workloads {

/// Scores, Softmax over the keys, and the product with the values, with what lies between them.
struct KeyedAttention {
  NodeId scores = kNone, softmax = kNone, mix = kNone;
  std::vector<NodeId> before{},
      after{};  ///< between scores and Softmax (scale, mask), between Softmax and mix; in order
  TensorId keys = kNone, values = kNone;
  std::int64_t count = 0;  ///< of keys
};

/// The attention around a Softmax; nullopt if its keys cannot be cut: its products are not both of activations, or
/// something that is not element by element, or that somebody else reads, lies between.
[[nodiscard]] std::optional<KeyedAttention> keyed_attention(const Graph& graph, NodeId softmax);

/// More than this would be all overhead.
inline constexpr std::int64_t kMostKeyBlocks = 1024;

/// `graph` is canonical, and so is what is returned; tensors of the original keep their names. Throws Error(kBadInput)
/// naming what is no attention that can be cut, or not into so many blocks: 2 to the number of keys, equal but for the
/// last.
[[nodiscard]] Graph in_key_blocks(const Graph& graph, const KeyBlocks& blocks);

}  // namespace spillway::workloads
