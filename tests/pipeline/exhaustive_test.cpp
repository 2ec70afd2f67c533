// The planner's search beside the reference that tries everything.
#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "partitioner/bounds.h"
#include "partitioner/schedule.h"
#include "partitioner/settle.h"
#include "tests/pipeline/exhaustive_reference.h"
#include "tests/pipeline/stages.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using namespace partitioner;
using workloads::TensorId;
using Builder = workloads::test::GraphBuilder;
using Ints = std::vector<std::int64_t>;

TensorId conv(Builder& b, TensorId x, std::int64_t channels, std::int64_t kernel = 3, std::int64_t stride = 1) {
  const std::int64_t pad = kernel / 2;
  return b.op("Conv", {x, b.random({channels, b.shape(x)[1], kernel, kernel}), b.random({channels})},
              {{"pads", Ints{pad, pad, pad, pad}}, {"strides", Ints{stride, stride}}});
}

TensorId norm_silu(Builder& b, TensorId x, std::int64_t groups = 8) {
  const std::int64_t channels = b.shape(x)[1];
  const auto statistics = b.op("NormStatistics", {x});
  const auto y = b.op("NormApply", {x, statistics, b.random({channels}), b.random({channels})},
                      {{"groups", groups}, {"epsilon", 1e-5F}});
  return b.op("Silu", {y}, {{"alpha", 1.0F}});
}

TensorId product(Builder& b, TensorId x, std::int64_t columns) {
  return b.op("MatMul", {x, b.random({b.shape(x).back(), columns})});
}

/// Convolution, group norm, SiLU, three times.
workloads::Graph norm_chain() {
  Builder b;
  auto x = b.input("x", {1, 32, 48, 48});
  for (int k = 0; k < 3; ++k) x = norm_silu(b, conv(b, x, 64));
  return b.finish({conv(b, x, 16)});
}

/// Two convolutions with norms, and a 1x1 convolution around them.
workloads::Graph residual_block() {
  Builder b;
  const auto x = conv(b, b.input("x", {1, 8, 48, 48}), 32);
  const auto h = conv(b, norm_silu(b, conv(b, norm_silu(b, x), 64)), 64);
  return b.finish({conv(b, b.op("Add", {h, conv(b, x, 64, 1)}), 8)});
}

/// A U of one level: what goes down comes back up beside what went over.
workloads::Graph concat_skip() {
  Builder b;
  const auto x = conv(b, b.input("x", {1, 16, 64, 64}), 32);
  const auto down = conv(b, x, 64, 3, 2);
  const auto middle = conv(b, down, 64);
  const auto up = b.op("ConvTranspose", {middle, b.random({64, 32, 2, 2})}, {{"strides", Ints{2, 2}}});
  const auto both = b.op("Concat", {x, up}, {{"axis", std::int64_t{1}}});
  return b.finish({conv(b, conv(b, both, 32), 8)});
}

/// A result read at once and again seven convolutions later, cheap to make again.
workloads::Graph long_skip() {
  Builder b;
  const auto skip = conv(b, b.input("x", {1, 4, 48, 48}), 64, 1);
  auto h = skip;
  for (int k = 0; k < 7; ++k) h = conv(b, h, 64);
  return b.finish({conv(b, b.op("Concat", {skip, h}, {{"axis", std::int64_t{1}}}), 32)});
}

/// Two skips, one inside the other, both read by the next convolution as well.
workloads::Graph nested_skips() {
  Builder b;
  const auto a = conv(b, b.input("x", {1, 8, 48, 48}), 48);
  const auto c = conv(b, a, 64);
  auto h = c;
  for (int k = 0; k < 3; ++k) h = conv(b, h, 64);
  h = conv(b, b.op("Concat", {c, h}, {{"axis", std::int64_t{1}}}), 48);
  h = conv(b, h, 48);
  return b.finish({conv(b, b.op("Concat", {a, h}, {{"axis", std::int64_t{1}}}), 8)});
}

/// One head with its projections and its residual.
workloads::Graph attention() {
  Builder b;
  const auto x = product(b, b.input("x", {1, 256, 64}), 128);
  const auto n = b.op("LayerNormalization", {x, b.random({128}), b.random({128})});
  const auto q = product(b, n, 64);
  const auto k = product(b, n, 64);
  const auto v = product(b, n, 64);
  const auto scores = b.op("MatMul", {q, b.op("Transpose", {k}, {{"perm", Ints{0, 2, 1}}})});
  const auto heads = b.op("MatMul", {b.op("Softmax", {scores}, {{"axis", std::int64_t{-1}}}), v});
  return b.finish({b.op("Add", {product(b, heads, 128), x})});
}

/// A gated pair of products and the one after, with a residual.
workloads::Graph feed_forward() {
  Builder b;
  const auto x = product(b, b.input("x", {1, 512, 64}), 128);
  const auto n = b.op("LayerNormalization", {x, b.random({128}), b.random({128})});
  const auto gate = b.op("Gelu", {product(b, n, 512)});
  const auto h = b.op("Mul", {product(b, n, 512), gate});
  return b.finish({b.op("Add", {product(b, h, 128), x})});
}

double all_macs(const Model& model) {
  double sum = 0;
  for (const NodeId n : model.executed) {
    if (model.op(n).matrix_shape == nullptr) continue;
    const auto& node = model.graph.nodes[n];
    sum += static_cast<double>(
        model.op(n).matrix_shape(model.graph, node, workloads::whole(model.graph.output(node).shape)).macs());
  }
  return sum;
}

/// What the reference would pay for a schedule.
double price(Search& exact, const Schedule& schedule) {
  double cost = 0;
  for (const Scheduled& s : schedule.groups) {
    const Candidate* loop = exact.best(s.group, s.residents, s.available);
    REQUIRE(loop != nullptr);
    cost += loop->score;
  }
  return cost;
}

/// Every group has the room that the stays leave, and finds what it reads there.
void check_stays(const Model& model, Bytes budget, const Schedule& schedule) {
  for (int g = 0; g < static_cast<int>(schedule.groups.size()); ++g) {
    const Scheduled& s = schedule.groups[g];
    Bytes taken = 0;
    for (const Stay& stay : schedule.stays) taken += stay.first <= g && g <= stay.last ? stay.bytes : 0;
    CHECK(s.available == budget - taken);
    for (std::size_t l = 0; l < s.residents.size(); ++l) {
      const bool stays = std::any_of(schedule.stays.begin(), schedule.stays.end(), [&](const Stay& stay) {
        return stay.storage == s.group.locals[l].storage && stay.first <= g && g <= stay.last;
      });
      INFO(model.layout.storages[s.group.locals[l].storage].name);
      CHECK((s.residents[l] != Home::kDram) == stays);
    }
  }
}

/// As partition() asks for it; nullopt if nothing fits.
std::optional<Schedule> planned(const Model& model, const Sequence& order, Objective objective, Bytes budget,
                                double extra_macs) {
  Search search(model, objective, false);
  Wishes wishes;
  wishes.fates.assign(model.layout.storages.size(), {});
  wishes.extra_macs = extra_macs;
  REQUIRE(order.size() <= kWalkedPrimitives);
  wishes.care = Search::Care::kExact;
  Workbench bench(model, search, order);
  auto found = schedule(bench, budget, wishes);
  if (!found) return std::nullopt;
  // Settling may hold tensors for some of their readers in ways that the reference does not have.
  Schedule settled = *found;
  settle(model, search, budget, wishes, settled);
  CHECK(price(search, settled) <= price(search, *found));
  check_stays(model, budget, settled);
  return found;
}

/// Up to more than the graph can use; `least`: from little more than it needs at all, where searches take longest.
std::vector<Bytes> budgets_for(const workloads::Graph& graph, const configs::NpuConfig& npu, const Layout& layout,
                               bool least) {
  Bytes largest = 0;
  for (const Storage& s : layout.storages) {
    if (s.storage_class == StorageClass::kActivation) largest = std::max(largest, s.bytes());
  }
  std::vector<Bytes> budgets{largest / 2, largest, largest * 3 / 2, largest * 5 / 2, largest * 8};
  if (least) budgets.insert(budgets.begin(), smallest_budget(graph, npu) * 5 / 4);
  return budgets;
}

/// How far the planner is from the reference.
struct Distance {
  double worst = 1;
  double sum = 0;
  int cases = 0;
  std::string where;

  [[nodiscard]] double mean() const { return sum / cases; }
  void see(double ratio, const std::string& what) {
    sum += ratio;
    ++cases;
    if (ratio > worst) worst = ratio, where = what;
  }
};

constexpr double kUsualShare = 0.01;  // as partition() allows

void compare(const std::string& name, const workloads::Graph& exported, double share, Distance& distance) {
  const auto graph = workloads::canonicalise(exported);
  // The slow DRAM makes the fate of tensors count for the latency as well.
  const auto npu = configs::load_config("edge-8mb-slow");
  const Layout layout = make_layout(graph, npu.precision);
  const Model model(graph, npu, layout);
  REQUIRE(model.executed.size() <= 20);
  const double extra_macs = share * all_macs(model);
  const double compulsory = static_cast<double>(compulsory_bytes(graph, layout)) / npu.dram_bytes_per_cycle();
  for (const auto objective : {Objective::kLatency, Objective::kMoves}) {
    Search exact(model, objective, false);
    for (const Bytes budget : budgets_for(graph, npu, layout, share <= kUsualShare)) {
      const std::string what = name + ", " + std::string(name_of(objective)) + ", " + std::to_string(budget) +
                               " bytes, extra operations " + std::to_string(share);
      INFO(what);
      auto order = sequence(model, true);
      auto found = planned(model, order, objective, budget, extra_macs);
      if (!found) {
        constexpr double kNoCeiling = std::numeric_limits<double>::infinity();
        CHECK(!test::ExhaustiveReference(model, exact, order, budget, extra_macs).minimum(kNoCeiling));
        order = sequence(model, false);
        found = planned(model, order, objective, budget, extra_macs);
      }
      REQUIRE(found);
      const double cost = price(exact, *found);
      // The planner chooses from the space that the reference has been through. Which loops the exact search walks
      // depends a little on those it has walked before: the same groups may have another price the second time.
      constexpr double kMemory = 0.01;
      const auto least =
          test::ExhaustiveReference(model, exact, order, budget, extra_macs).minimum(cost * (1 + kMemory));
      REQUIRE(least);
      CHECK(cost >= least->cost * (1 - kMemory));
      CHECK(least->cost >= compulsory);
      distance.see(cost / least->cost, what + "; the least is\n" + least->how);
    }
  }
}

/// Over all graphs; `share`: of the operations, that may run again.
Distance distance_at(double share) {
  Distance distance;
  compare("norm_chain", norm_chain(), share, distance);
  compare("residual_block", residual_block(), share, distance);
  compare("concat_skip", concat_skip(), share, distance);
  compare("long_skip", long_skip(), share, distance);
  compare("nested_skips", nested_skips(), share, distance);
  compare("attention", attention(), share, distance);
  compare("feed_forward", feed_forward(), share, distance);
  return distance;
}

}  // namespace

// For small graphs every loop is walked, at every budget that comes up, and the beam is wide: all schedules are the
// best there are.

TEST_CASE("schedules of small graphs beside all there are", "[pipeline][exhaustive]") {
  const Distance distance = distance_at(kUsualShare);
  INFO("worst: " << distance.worst << ", mean: " << distance.mean() << ", " << distance.where);
  CHECK(distance.worst <= 1.001);
}

TEST_CASE("schedules of small graphs that may recompute much beside all there are", "[pipeline][exhaustive]") {
  const Distance distance = distance_at(1.0);
  INFO("worst: " << distance.worst << ", mean: " << distance.mean() << ", " << distance.where);
  CHECK(distance.worst <= 1.001);
}
