// Lower bounds against sums made by hand, and never above any plan.
#include "partitioner/bounds.h"

#include <catch2/catch.hpp>

#include "partitioner/max_flow.h"
#include "partitioner/partitioner.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using namespace spillway::partitioner;
using workloads::TensorId;
using workloads::test::GraphBuilder;
using Ints = std::vector<std::int64_t>;

configs::NpuConfig npu_with(Bytes bytes) {
  configs::NpuConfig npu = configs::load_config("edge-8mb");
  npu.scratchpad.size = bytes;
  return npu;
}

Bytes capacity(const Graph& graph, Bytes budget) {
  return capacity_bytes(graph, make_layout(graph, npu_with(budget).precision), budget);
}

/// A convolution that keeps the image's size.
TensorId conv(GraphBuilder& b, TensorId x, std::int64_t channels, std::int64_t kernel = 3) {
  const std::int64_t pad = kernel / 2;
  return b.op("Conv", {x, b.random({channels, b.shape(x)[1], kernel, kernel})},
              {{"pads", Ints{pad, pad, pad, pad}}, {"strides", Ints{1, 1}}, {"dilations", Ints{1, 1}}});
}
TensorId group_norm(GraphBuilder& b, TensorId x) {
  return b.op("NormApply", {x, b.op("NormStatistics", {x})}, {{"groups", std::int64_t{4}}});
}

constexpr Bytes kTensor = 16 * 16 * 16;  ///< 16 channels of 16 x 16, a byte each

/// conv, norm, conv.
Graph chain(std::int64_t batch) {
  GraphBuilder b;
  const auto a = conv(b, b.input("x", {batch, 8, 16, 16}), 16);
  return b.finish({conv(b, group_norm(b, a), 4)});
}

/// conv, then norm, conv, norm, conv and an addition of the first, then a convolution; `wide` channels within.
Graph residual(std::int64_t wide) {
  GraphBuilder b;
  const auto r = conv(b, b.input("x", {1, 8, 16, 16}), 16);
  const auto h = conv(b, group_norm(b, r), wide);
  const auto k = conv(b, group_norm(b, h), 16);
  return b.finish({conv(b, b.op("Add", {r, k}), 4)});
}

Bytes over(Bytes bytes, Bytes budget) { return std::max<Bytes>(0, bytes - budget); }

void require_below_plans(const Graph& graph, const std::vector<Bytes>& budgets) {
  Bytes before = -1;
  for (const Bytes budget : budgets) {
    const auto npu = npu_with(budget);
    const auto layout = make_layout(graph, npu.precision);
    const auto bounds = lower_bounds(graph, npu, layout);
    REQUIRE(bounds.size() == 2);
    CHECK(bounds[0].moves <= bounds[1].moves);
    if (before >= 0) CHECK(bounds[1].moves <= before);  // budgets come in ascending order
    before = bounds[1].moves;
    for (const auto strategy : {Strategy::kLayerByLayer, Strategy::kFused}) {
      for (const auto objective : {Objective::kLatency, Objective::kMoves}) {
        const auto planned = partition(graph, npu, {.strategy = strategy, .objective = objective});
        if (!std::holds_alternative<Plan>(planned)) continue;
        const auto& plan = std::get<Plan>(planned);
        CHECK(plan.compulsory_bytes == bounds[0].moves);
        for (const LowerBound& bound : bounds) {
          INFO(graph.source << " at " << budget << ", " << name_of(strategy) << " for " << name_of(objective) << ": "
                            << bound.name);
          CHECK(bound.moves <= plan.moves.total());
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("max flow: vertices limit, paths add up", "[bounds]") {
  MaxFlow none({5});
  none.add_source(0);
  CHECK(none.run() == 0);
  // 0 and 1 to 2 and 3: 0 -> 2, 0 -> 3, 1 -> 3.
  MaxFlow flow({10, 4, 3, 9});
  flow.add_source(0);
  flow.add_source(1);
  flow.add_arc(0, 2);
  flow.add_arc(0, 3);
  flow.add_arc(1, 3);
  flow.add_sink(2);
  flow.add_sink(3);
  CHECK(flow.run() == 12);
  CHECK(flow.through(2) == 3);
  CHECK(flow.through(3) == 9);
  CHECK(flow.through(0) + flow.through(1) == 12);
  // A first path that must be taken back: 0 -> 2 is wanted by 1, which has no other way.
  MaxFlow back({1, 1, 1, 1});
  back.add_source(0);
  back.add_source(1);
  back.add_arc(0, 2);
  back.add_arc(0, 3);
  back.add_arc(1, 2);
  back.add_sink(2);
  back.add_sink(3);
  CHECK(back.run() == 2);
}

TEST_CASE("a graph without barriers has no capacity bound", "[bounds]") {
  GraphBuilder b;
  const auto x = conv(b, conv(b, b.input("x", {1, 8, 16, 16}), 16), 16);
  const auto graph = b.finish({conv(b, b.op("Relu", {x}), 4)});
  CHECK(capacity(graph, 1) == 0);
}

TEST_CASE("a normalised tensor that does not fit is stored and loaded, per element of the batch", "[bounds]") {
  for (const std::int64_t batch : {1, 3}) {
    const Graph graph = chain(batch);
    for (const Bytes budget : {Bytes{1}, Bytes{1000}, kTensor - 1, kTensor, 8 * kTensor}) {
      CHECK(capacity(graph, budget) == batch * 2 * over(kTensor, budget));
    }
  }
}

TEST_CASE("a residual is alive beside the normalised tensor, and read twice", "[bounds]") {
  for (const Bytes budget : {Bytes{100}, kTensor, kTensor + 5, 2 * kTensor, 3 * kTensor}) {
    // Before the first norm's convolution: r. Before the second's: r and h, which were stored once each.
    CHECK(capacity(residual(16), budget) == over(kTensor, budget) + 2 * over(2 * kTensor, budget));
    // Twice the channels within: h is twice the size.
    CHECK(capacity(residual(32), budget) == over(kTensor, budget) + 2 * over(3 * kTensor, budget));
  }
}

TEST_CASE("a shortcut may shrink what is alive: the smaller of both ends counts", "[bounds]") {
  GraphBuilder b;
  const auto r = conv(b, b.input("x", {1, 8, 16, 16}), 16);
  const auto h = conv(b, group_norm(b, r), 16);
  const auto k = conv(b, group_norm(b, h), 4);
  const auto graph = b.finish({conv(b, b.op("Add", {conv(b, r, 4, 1), k}), 4)});
  // Of r, 4 channels' worth after the shortcut.
  for (const Bytes budget : {Bytes{100}, kTensor}) {
    CHECK(capacity(graph, budget) == over(kTensor, budget) + 2 * over(kTensor + kTensor / 4, budget));
  }
}

TEST_CASE("half of the pixels left unread are not counted as read", "[bounds]") {
  // A 1x1 convolution with stride 2 leaves three quarters of r unread: r may be made in part only.
  GraphBuilder b;
  const auto r = conv(b, b.input("x", {1, 8, 16, 16}), 16);
  const auto h = b.op("Conv", {r, b.random({16, 16, 1, 1})}, {{"strides", Ints{2, 2}}});
  const auto graph = b.finish({conv(b, group_norm(b, h), 4)});
  CHECK(capacity(graph, 100) == 2 * (kTensor / 4 - 100));
}

TEST_CASE("concatenated skips are alive, normalised together", "[bounds]") {
  GraphBuilder b;
  const auto x = b.input("x", {1, 8, 16, 16});
  const auto s = conv(b, x, 16);
  const auto h = conv(b, s, 8);
  const auto c = b.op("Concat", {h, s}, {{"axis", std::int64_t{1}}});
  const auto statistics =
      b.op("Concat", {b.op("NormStatistics", {h}), b.op("NormStatistics", {s})}, {{"axis", std::int64_t{1}}});
  const auto y = b.op("NormApply", {c, statistics}, {{"groups", std::int64_t{4}}});
  const auto graph = b.finish({conv(b, y, 4)});
  CHECK(capacity(graph, 100) == 2 * (kTensor * 3 / 2 - 100));
}

TEST_CASE("attention: keys and values, or all results, are alive before the first projection", "[bounds]") {
  GraphBuilder b;
  constexpr std::int64_t kTokens = 64;
  constexpr std::int64_t kWidth = 32;
  const auto x = b.input("x", {1, kTokens, kWidth});
  const auto project = [&](TensorId t) { return b.op("MatMul", {t, b.random({kWidth, kWidth})}); };
  const auto q = project(x);
  const auto k = project(x);
  const auto v = project(x);
  const auto scores = b.op("Softmax", {b.op("MatMul", {q, b.op("Transpose", {k}, {{"perm", Ints{0, 2, 1}}})})},
                           {{"axis", std::int64_t{-1}}});
  const auto graph = b.finish({project(b.op("MatMul", {scores, v}))});
  // Rows of the result may all have been made, which ends keys, values and queries.
  CHECK(capacity(graph, 100) == 2 * (kTokens * kWidth - 100));
  CHECK(capacity(graph, kTokens * kWidth) == 0);
}

TEST_CASE("compulsory bytes: once each; of a table the rows gathered; reached without a limit", "[bounds]") {
  const Graph graph = chain(1);
  const auto npu = npu_with(1 << 20);
  const auto layout = make_layout(graph, npu.precision);
  const Bytes expected = 8 * 256 + 16 * 8 * 9 + 4 * 16 * 9 + 4 * 256;
  CHECK(compulsory_bytes(graph, layout) == expected);
  const auto plan = std::get<Plan>(partition(graph, npu, {.objective = Objective::kMoves}));
  CHECK(plan.moves.total() == expected);
  CHECK(lower_bounds(graph, npu, layout)[1].moves == expected);

  GraphBuilder b;
  const auto ids = b.input("ids", {1, 5}, workloads::DataType::kInt64);
  const auto gathered = b.finish({b.op("Gather", {b.random({100, 16}), ids})});
  const auto table = make_layout(gathered, npu.precision);
  const Bytes index = table.storages[table.views[gathered.inputs[0]].storage].element_bytes();
  CHECK(compulsory_bytes(gathered, table) == 5 * index + 5 * 16 + 5 * 16);
}

TEST_CASE("no plan is below its bounds, and bounds fall with the budget: small graphs", "[bounds]") {
  const std::vector<Bytes> budgets{1 << 10, 2 << 10, 3 << 10, 4 << 10, 6 << 10, 8 << 10, 12 << 10, 16 << 10, 1 << 20};
  require_below_plans(chain(1), budgets);
  require_below_plans(chain(2), budgets);
  require_below_plans(residual(16), budgets);
  require_below_plans(residual(32), budgets);
}

TEST_CASE("no plan is below its bounds, and bounds fall with the budget: sd-tiny", "[bounds]") {
  std::vector<Bytes> budgets;
  for (Bytes budget = 12 << 10; budget <= (1 << 20); budget = budget * 5 / 2) budgets.push_back(budget);
  for (const std::string& name : workloads::zoo_graphs("sd-tiny")) {
    require_below_plans(workloads::canonicalise(workloads::zoo_graph("sd-tiny", name)), budgets);
  }
}

TEST_CASE("no plan is below its bounds: VAE of sd15 at 8 MiB", "[bounds]") {
  for (const std::string name : {"vae_encoder", "vae_decoder"}) {
    require_below_plans(workloads::canonicalise(workloads::zoo_graph("sd15", name)), {8 << 20});
  }
}

TEST_CASE("the VAE encoder's capacity bound at 8 MiB by hand", "[bounds]") {
  // Before a residual block's first convolution its input x is alive, before its second x (or its shortcut, whichever
  // is smaller) and the first's result h. In MiB, channels x size x size in int8:
  //   512: x 32, h 32, two blocks alike    reads 24 + 56, twice      writes 56, twice
  //   256: x 8, h 16; then x 16, h 16      reads 0 + 16, 8 + 24      writes 16, 24
  //   128: x 4, h 8; then x 8, h 8         reads 0 + 4, 0 + 8        writes 4, 8
  //   64: x 2, h 2                         nothing
  constexpr Bytes kMiB = 1 << 20;
  constexpr Bytes kReads = 2 * (24 + 56) + 16 + 8 + 24 + 4 + 8;
  constexpr Bytes kWrites = 2 * 56 + 16 + 24 + 4 + 8;
  const Graph graph = workloads::canonicalise(workloads::zoo_graph("sd15", "vae_encoder"));
  CHECK(capacity(graph, 8 * kMiB) == (kReads + kWrites) * kMiB);
  CHECK(capacity(graph, 64 * kMiB) == 0);
}
