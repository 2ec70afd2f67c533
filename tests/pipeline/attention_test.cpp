// Attention as asked for: the scores' way through the machine, bytes added up by hand.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using configs::Bytes;
using partitioner::Attention;
using partitioner::StorageClass;

constexpr std::int64_t kHeads = 8, kTokens = 256, kWidth = 16;
constexpr Bytes kScores = kHeads * kTokens * kTokens;       // int8
constexpr Bytes kOperands = 4 * kHeads * kTokens * kWidth;  // queries, keys, values and the result
constexpr Bytes kHeadsScores = kTokens * kTokens;           // 64 KiB
constexpr Bytes kFewRows = 48 << 10,
                kOneHead = 4 * kHeadsScores;  // scratchpads: without, with room for a head's scores

workloads::Graph attention() {
  workloads::test::GraphBuilder b;
  const auto q = b.input("q", {kHeads, kTokens, kWidth});
  const auto k = b.input("k", {kHeads, kWidth, kTokens});
  const auto v = b.input("v", {kHeads, kTokens, kWidth});
  const auto weights = b.op("Softmax", {b.op("MatMul", {q, k})}, {{"axis", std::int64_t{-1}}});
  return workloads::canonicalise(b.finish({b.op("MatMul", {weights, v})}));
}

test::Staged staged(Attention how, Bytes budget) {
  auto s = test::stage(attention(), test::npu_with("edge-8mb", budget),
                       {.objective = partitioner::Objective::kMoves, .attention = how});
  test::require_proven(s.program);
  return s;
}

Bytes moved(const test::Staged& s) { return simulator::simulate(s.program, s.npu).moves.of(StorageClass::kActivation); }

}  // namespace

TEST_CASE("attention in blocks of queries moves no scores", "[pipeline][attention]") {
  for (const Bytes budget : {kFewRows, kOneHead}) CHECK(moved(staged(Attention::kFused, budget)) == kOperands);
}

TEST_CASE("unfused attention writes and reads its scores before and after Softmax", "[pipeline][attention]") {
  for (const Bytes budget : {kFewRows, kOneHead}) {
    const auto s = staged(Attention::kUnfused, budget);
    CHECK(moved(s) == kOperands + 4 * kScores);
    CHECK(s.plan.groups.size() == 3);
  }
}

TEST_CASE("sliced attention has a head's scores at a time where they fit", "[pipeline][attention]") {
  const auto s = staged(Attention::kSliced, kOneHead);
  CHECK(moved(s) == kOperands);
  CHECK(s.plan.groups.size() == 1);
  CHECK(s.plan.groups[0].steps == kHeads);
  CHECK(moved(staged(Attention::kSliced, kFewRows)) == kOperands + 4 * kScores);
}

TEST_CASE("attention of a whole U-Net: what is asked for is kept to in every group", "[pipeline][attention]") {
  const auto together = [](const test::Staged& s) {
    return std::count_if(s.plan.groups.begin(), s.plan.groups.end(), [&](const partitioner::Group& group) {
      bool softmax = false;
      bool product = false;
      for (const auto& stage : group.stages) {
        for (const auto id : stage.nodes) {
          const auto& node = s.graph.nodes[id];
          softmax |= node.op == "Softmax";
          product |= node.op == "MatMul" && !s.graph.input(node, 1).is_constant();
        }
      }
      return softmax && product;
    });
  };
  const auto npu = test::npu_with("edge-8mb", 64 << 10);
  const auto fused = test::stage(test::zoo("sd-tiny", "unet"), npu);
  const auto unfused = test::stage(test::zoo("sd-tiny", "unet"), npu, {.attention = Attention::kUnfused});
  CHECK(together(fused) > 0);
  CHECK(together(unfused) == 0);
  test::require_proven(unfused.program);
}
