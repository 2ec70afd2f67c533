// Einsum by hand, and its canonical form against its own sum of products.
#include <catch2/catch.hpp>

#include "graph_builder.h"
#include "regions.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

Attributes by(const std::string& equation) { return {{"equation", equation}}; }

HostTensor values(Shape shape, std::uint64_t seed) { return random_tensor(DataType::kFloat32, shape, seed); }

std::map<std::string, int> counts_of(const Graph& graph) {
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) ++counts[node.op];
  return counts;
}

}  // namespace

TEST_CASE("Einsum refuses what it cannot read", "[operators][einsum]") {
  const HostTensor a = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK_THAT(refusal("Einsum", {a}, by("")), Catch::Contains("does not go with shape 2x3"));
  CHECK_THAT(refusal("Einsum", {a}, by("ij,jk->ik")), Catch::Contains("2 terms for 1 operands"));
  CHECK_THAT(refusal("Einsum", {a, a}, by("ij,jk->ik")), Catch::Contains("extents 3 and 2 one axis"));
  CHECK_THAT(refusal("Einsum", {a}, by("ij->ii")), Catch::Contains("'i' twice"));
  CHECK_THAT(refusal("Einsum", {a}, by("ij->ijk")), Catch::Contains("output axis that no operand has"));
  CHECK_THAT(refusal("Einsum", {a}, by("i1->i")), Catch::Contains("'1' where an axis is expected"));
  CHECK_THAT(refusal("Einsum", {a}, by("ijk...->i")), Catch::Contains("does not go with shape"));
  CHECK_THAT(refusal("Einsum", {a}, by("...i...->i")), Catch::Contains("where an axis is expected"));
}

TEST_CASE("Einsum of more operands, and of diagonals", "[operators][einsum]") {
  const HostTensor a = floats({2, 2}, {1, 2, 3, 4});
  CHECK(computed("Einsum", {a, a, a}, by("ij,ij,ij->ij")) == std::vector<float>{1, 8, 27, 64});
  CHECK(computed("Einsum", {a}, by("ii->i")) == std::vector<float>{1, 4});
  CHECK(computed("Einsum", {a}, by("ii")) == std::vector<float>{5});
}

TEST_CASE("Einsum is a sum of products", "[operators][einsum]") {
  const HostTensor a = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const HostTensor b = floats({3, 2}, {1, 0, 0, 1, 1, 1});
  CHECK(computed("Einsum", {a, b}, by("ij,jk->ik")) == std::vector<float>{4, 5, 10, 11});
  CHECK(computed("Einsum", {a, b}, by("ij, jk")) == std::vector<float>{4, 5, 10, 11});
  CHECK(computed("Einsum", {a, b}, by("ij,jk->ki")) == std::vector<float>{4, 10, 5, 11});
  CHECK(computed("Einsum", {a}, by("ij->ji")) == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(computed("Einsum", {a}, by("ba")) == std::vector<float>{1, 4, 2, 5, 3, 6});  // implied: alphabetical
  CHECK(computed("Einsum", {a}, by("ij->i")) == std::vector<float>{6, 15});
  CHECK(computed("Einsum", {a}, by("ij->")) == std::vector<float>{21});
  CHECK(computed("Einsum", {a, a}, by("ij,ij->")) == std::vector<float>{91});
  CHECK(computed("Einsum", {a, a}, by("...j,...j->...")) == std::vector<float>{14, 77});
  CHECK(computed("Einsum", {floats({2}, {2, 3}), floats({2}, {5, 7})}, by("i,j->ij")) ==
        std::vector<float>{10, 14, 15, 21});
}

TEST_CASE("Einsum's canonical form computes the same, without an Einsum", "[canonical][einsum]") {
  struct Form {
    const char* equation;
    Shape a, b, out;
    const char* worker;
  };
  const Form forms[] = {
      {"ij,jk->ik", {4, 5}, {5, 6}, {4, 6}, "MatMul"},
      {"bhid,bhjd->bhij", {2, 3, 4, 8}, {2, 3, 5, 8}, {2, 3, 4, 5}, "MatMul"},
      {"bhij,bhjd->bihd", {2, 3, 4, 5}, {2, 3, 5, 8}, {2, 4, 3, 8}, "MatMul"},
      {"bhid,ijd->bhij", {2, 3, 4, 8}, {4, 5, 8}, {2, 3, 4, 5}, "MatMul"},
      {"bihd,hde->bie", {2, 4, 3, 8}, {3, 8, 6}, {2, 4, 6}, "MatMul"},
      {"...ij,...jk->...ik", {2, 3, 4, 5}, {2, 3, 5, 6}, {2, 3, 4, 6}, "MatMul"},
      {"bij,bj->bi", {2, 3, 4}, {2, 4}, {2, 3}, "MatMul"},
      {"bij,bi->bij", {2, 3, 4}, {2, 3}, {2, 3, 4}, "Mul"},
      {"i,j->ji", {4}, {5}, {5, 4}, "Mul"},
      {"ij,kl->il", {2, 3}, {4, 5}, {2, 5}, "Mul"},
      {"bijk,bk->bi", {2, 3, 4, 5}, {2, 5}, {2, 3}, "MatMul"},
      {"ij,ij->", {4, 5}, {4, 5}, {}, "MatMul"},
  };
  for (const Form& form : forms) {
    INFO(form.equation);
    GraphBuilder g;
    const TensorId a = g.input("a", form.a);
    const TensorId b = g.input("b", form.b);
    const Graph exported = g.finish({g.op("Einsum", {a, b}, by(form.equation))});
    CHECK(exported.tensors[exported.outputs[0]].shape == form.out);
    const Graph canonical = canonicalise(exported);
    CHECK(counts_of(canonical)["Einsum"] == 0);
    int workers = 0;
    for (const Node& node : canonical.nodes) {
      if (!node.origins.empty()) CHECK(node.op == form.worker);
      workers += node.origins.empty() ? 0 : 1;
    }
    CHECK(workers == 1);
    const TensorMap inputs{{"a", values(form.a, 1)}, {"b", values(form.b, 2)}};
    const auto wanted = execute(exported, inputs).begin()->second;
    const auto found = execute(canonical, inputs).begin()->second;
    REQUIRE(found.shape == form.out);
    for (std::size_t i = 0; i < wanted.floats().size(); ++i) {
      CHECK(found.floats()[i] == Approx(wanted.floats()[i]).margin(1e-5));
    }
  }
}

TEST_CASE("Einsum of one operand", "[canonical][einsum]") {
  for (const auto& [equation, op] : {std::pair{"abc->cab", "Transpose"}, {"abc->b", "ReduceSum"}, {"abc->abc", ""}}) {
    INFO(equation);
    GraphBuilder g;
    const Graph exported = g.finish({g.op("Einsum", {g.input("a", {2, 3, 4})}, by(equation))});
    const Graph canonical = canonicalise(exported);
    if (*op != '\0') CHECK(counts_of(canonical)[op] == 1);
    const TensorMap inputs{{"a", values({2, 3, 4}, 1)}};
    const auto wanted = execute(exported, inputs).begin()->second;
    const auto found = execute(canonical, inputs).begin()->second;
    CHECK(found.shape == wanted.shape);
    for (std::size_t i = 0; i < wanted.floats().size(); ++i) CHECK(found.floats()[i] == Approx(wanted.floats()[i]));
  }
}

TEST_CASE("MACs of an Einsum", "[statistics][einsum]") {
  GraphBuilder g;
  const TensorId q = g.input("q", {2, 3, 4, 8});
  const TensorId scores = g.op("Einsum", {q, g.input("k", {2, 3, 5, 8})}, by("bhid,bhjd->bhij"));
  const TensorId out = g.op("Einsum", {q, g.random({3, 8, 16})}, by("bhid,hde->bie"));
  const Statistics s = statistics_of(g.finish({scores, out}));
  CHECK(s.macs.at("Einsum_act_x_act") == 2 * 3 * 4 * 5 * 8);
  CHECK(s.macs.at("Einsum_weight") == 2 * 4 * 3 * 8 * 16);
}
