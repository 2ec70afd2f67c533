// Random tangles of the operators that patterns look for: whatever is recognised, the results stay.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "graph_builder.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

/// A graph over tensors of one shape, so that every operator can follow every other.
Graph random_graph(std::mt19937& random) {
  const Shape shape{2, 4, 4};
  GraphBuilder b;
  std::vector<TensorId> made{b.input("x", shape), b.input("z", shape)};
  const auto any = [&] { return made[random() % made.size()]; };
  const auto recent = [&] { return made[made.size() - 1 - random() % std::min<std::size_t>(made.size(), 3)]; };
  const float factors[] = {1.0F, 0.5F, 1.702F, 1.4142135F, 2.0F, 4.0F};
  const auto factor = [&] { return b.scalar(factors[random() % 6]); };
  const auto binary = [&](const char* op, TensorId other) {
    const TensorId x = recent();
    return random() % 2 == 0 ? b.op(op, {x, other}) : b.op(op, {other, x});
  };
  for (int i = 0; i < 30; ++i) {
    TensorId y = kNone;
    switch (random() % 18) {
      case 0:
        y = binary("Mul", factor());
        break;
      case 1:
        y = b.op("Div", {recent(), factor()});
        break;
      case 2:
        y = binary("Add", b.scalar(static_cast<float>(random() % 2)));
        break;
      case 3:
        y = b.op("Mul", {any(), recent()});
        break;
      case 4:
        y = b.op("Add", {recent(), any()});
        break;
      case 5:
        y = b.op("Mul", {made.back(), b.op("Sigmoid", {made.back()})});
        break;
      case 6:
        y = b.op("Sigmoid", {recent()});
        break;
      case 7:
        y = b.op("Erf", {recent()});
        break;
      case 8:
        y = b.op("Tanh", {recent()});
        break;
      case 9:
        y = b.op("Identity", {recent()});
        break;
      case 10:
        y = b.op("Transpose", {recent()}, {{"perm", random() % 2 == 0 ? IntList{0, 2, 1} : IntList{0, 1, 2}}});
        break;
      case 11:
        y = b.op("Sub", {made.back(), b.op("ReduceMean", {made.back()}, {{"axes", IntList{2}}})});
        break;
      case 12:
        y = b.op("MatMul", {recent(), b.random({4, 4})});
        break;
      case 13:
        y = binary("Add", random() % 2 == 0 ? b.random({4}) : b.random({4, 1}));
        break;
      case 14: {
        const TensorId d = b.op("Sub", {made.back(), b.op("ReduceMean", {made.back()}, {{"axes", IntList{-1}}})});
        const TensorId v = b.op("ReduceMean", {b.op("Mul", {d, d})}, {{"axes", IntList{-1}}});
        if (random() % 4 == 0) made.push_back(d);
        y = b.op("Div", {d, b.op("Sqrt", {b.op("Add", {v, b.scalar(0.1F)})})});
        break;
      }
      case 15: {
        const TensorId grouped = b.op("Reshape", {recent(), b.constant(list({0, 2, -1}))});
        const TensorId n =
            b.op("InstanceNormalization", {grouped, b.constant(floats({2}, {1, 1})), b.constant(floats({2}, {0, 0}))});
        y = b.op("Reshape", {n, b.constant(list({2, 4, 4}))});
        break;
      }
      case 16: {
        const TensorId joined = b.op("Concat", {recent(), any()}, {{"axis", std::int64_t{1}}});
        const TensorId n = b.op("InstanceNormalization", {joined, b.random({8}), b.random({8})});
        y = b.ops("Split", {n}, {{"axis", std::int64_t{1}}}, 2)[random() % 2];
        break;
      }
      default:
        y = b.op("Softmax", {recent()});
        break;
    }
    made.push_back(y);
  }
  std::vector<TensorId> outputs{made.back()};
  for (int i = 0; i < 2; ++i) {
    const TensorId extra = made[2 + random() % (made.size() - 2)];
    if (std::find(outputs.begin(), outputs.end(), extra) == outputs.end()) outputs.push_back(extra);
  }
  return b.finish(outputs);
}

bool finite_and_moderate(const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    for (const float v : tensor.floats()) {
      if (!std::isfinite(v) || std::abs(v) > 1e4F) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("random graphs keep their results and account for every node", "[canonical][property]") {
  std::mt19937 random(2026);
  int compared = 0;
  std::map<std::string, int> recognised;
  for (int round = 0; round < 400; ++round) {
    const Graph exported = random_graph(random);
    const Graph graph = canonicalise(exported);
    INFO("round " << round);
    REQUIRE(origins_are_a_partition(exported, graph));
    for (const auto& [op, count] : op_counts(graph)) recognised[op] += count;
    const TensorMap inputs = random_inputs(exported);
    const TensorMap reference = execute(exported, inputs);
    if (!finite_and_moderate(reference)) continue;
    ++compared;
    CHECK(distance(reference, execute(graph, inputs)) <= 1e-4);
  }
  CHECK(compared > 200);
  for (const char* op : {"Silu", "LayerNormalization", "NormApply", "NormStatistics", "MatMul", "Slice", "Concat"}) {
    INFO(op);
    CHECK(recognised[op] > 20);
  }
}
