// The planner's search beside the reference that tries everything.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <limits>

#include "partitioner/schedule.h"
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

/// As partition() asks for it; nullopt if nothing fits.
std::optional<Schedule> planned(const Model& model, Search& search, const Sequence& order, Bytes budget,
                                double extra_macs) {
  Wishes wishes;
  wishes.fates.assign(model.layout.storages.size(), {});
  wishes.extra_macs = extra_macs;
  constexpr int kTries = 3;
  for (int attempt = 0; attempt <= kTries; ++attempt) {
    wishes.care = attempt < kTries ? Search::Care::kEstimate : Search::Care::kExact;
    auto found = schedule(model, search, order, budget, wishes);
    if (!found) return std::nullopt;
    bool stands = true;
    for (const Scheduled& s : found->groups) stands &= search.best(s.group, s.residents, s.available) != nullptr;
    if (stands) return found;
  }
  FAIL("no schedule stands up to its walks");
  return std::nullopt;
}

struct Worst {
  double ratio = 1;
  std::string where;
};

Worst compare(const std::string& name, const workloads::Graph& exported, double share) {
  Worst worst;
  const auto graph = workloads::canonicalise(exported);
  const auto whole = configs::load_config("edge-8mb-slow");
  const Bytes smallest = smallest_budget(graph, whole);
  for (const auto objective : {Objective::kLatency, Objective::kMoves}) {
    const auto npu = configs::load_config("edge-8mb-slow");
    const Layout layout = make_layout(graph, npu.precision);
    const Model model(graph, npu, layout);
    const Sequence order = sequence(model, true);
    Bytes largest = 0;
    for (const Storage& s : layout.storages) {
      if (s.storage_class == StorageClass::kActivation) largest = std::max(largest, s.bytes());
    }
    Search exact(model, objective, false);
    for (const Bytes budget : {smallest * 5 / 4, largest / 2, largest, largest * 3 / 2, largest * 5 / 2, 8 * largest}) {
      const auto start = std::chrono::steady_clock::now();
      Search search(model, objective, false);
      const double extra = share * all_macs(model);
      const auto found = planned(model, search, order, budget, extra);
      double cost = std::numeric_limits<double>::infinity();
      std::string how;
      if (found) {
        cost = 0;
        for (const Scheduled& s : found->groups) {
          const Candidate* loop = exact.best(s.group, s.residents, s.available);
          REQUIRE(loop != nullptr);
          cost += loop->score;
          how += "  " + std::to_string(s.group.nodes.size()) + " operators " + std::to_string(loop->score) + "\n";
        }
        for (const Stay& s : found->stays) how += "  stays " + layout.storages[s.storage].name + (s.home == Home::kBoth ? " both" : "") + " " + std::to_string(s.first) + ".." + std::to_string(s.last) + "\n";
      }
      const auto middle = std::chrono::steady_clock::now();
      const auto least = test::ExhaustiveReference(model, exact, order, budget, extra).minimum(cost * (1 + 1e-9));
      const auto end = std::chrono::steady_clock::now();
      if(!least){ std::printf("%s %s budget %lld: none\n", name.c_str(), std::string(name_of(objective)).c_str(), (long long)budget); CHECK(!found); continue; }
      const double ratio = cost / least->cost;
      std::printf("%-15s n=%d share %.2f %-8s budget %9lld beam %12.0f least %12.0f ratio %.4f states %6zu  %.2f s + %.2f s\n", name.c_str(),
                  order.size(), share, std::string(name_of(objective)).c_str(), (long long)budget, cost, least->cost, ratio, least->states,
                  std::chrono::duration<double>(middle - start).count(), std::chrono::duration<double>(end - middle).count());
      if (ratio > 1.01) std::printf("reference:\n%sbeam:\n%s", least->how.c_str(), how.c_str());
      std::fflush(stdout);
      INFO(name << ", " << name_of(objective) << ", " << budget << " bytes\nreference:\n" << least->how);
      CHECK(cost >= least->cost * (1 - 1e-9));
      CHECK(ratio <= 1.02);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("probe", "[pipeline][exhaustive]") {
  const std::vector<std::pair<std::string, workloads::Graph>> graphs{
      {"norm_chain", norm_chain()}, {"residual_block", residual_block()}, {"concat_skip", concat_skip()},
      {"long_skip", long_skip()},   {"nested_skips", nested_skips()},     {"attention", attention()},
      {"feed_forward", feed_forward()}};
  for (const auto& [name, graph] : graphs) {
    for (const double share : {0.01, 1.0}) compare(name, graph, share);
  }
}
