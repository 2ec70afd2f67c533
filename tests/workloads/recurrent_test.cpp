// RNN, GRU and LSTM unrolled: the same results as the recurrence itself (which ONNX's node tests hold), in operators
// that the NPU has.
#include <catch2/catch.hpp>
#include <set>

#include "one_node.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

HostTensor values(Shape shape, std::uint64_t seed) { return random_tensor(DataType::kFloat32, shape, seed); }

struct Case {
  std::string op = "LSTM";
  std::string direction = "forward";
  std::int64_t layout = 0, steps = 3;
  bool biased = true, initial = true, constant_weights = true;
  Attributes extra{};
  bool peephole = false;
};

OneNode node_of(const Case& c) {
  constexpr std::int64_t kBatch = 2, kInput = 3, kHidden = 4;
  const std::int64_t gates = c.op == "LSTM" ? 4 : c.op == "GRU" ? 3 : 1, d = c.direction == "bidirectional" ? 2 : 1;
  const auto weight = [&](HostTensor value) { return c.constant_weights ? fixed(std::move(value)) : In(value); };
  const Shape x = c.layout == 0 ? Shape{c.steps, kBatch, kInput} : Shape{kBatch, c.steps, kInput};
  const Shape state = c.layout == 0 ? Shape{d, kBatch, kHidden} : Shape{kBatch, d, kHidden};
  std::vector<In> inputs{values(x, 1), weight(values({d, gates * kHidden, kInput}, 2)),
                         weight(values({d, gates * kHidden, kHidden}, 3)),
                         c.biased ? weight(values({d, 2 * gates * kHidden}, 4)) : omitted(), omitted()};
  inputs.push_back(c.initial ? In(values(state, 5)) : omitted());
  if (c.op == "LSTM") {
    inputs.push_back(c.initial ? In(values(state, 6)) : omitted());
    inputs.push_back(c.peephole ? weight(values({d, 3 * kHidden}, 7)) : omitted());
  }
  Attributes attributes = c.extra;
  attributes["hidden_size"] = kHidden;
  attributes["direction"] = c.direction;
  attributes["layout"] = c.layout;
  return OneNode(c.op, inputs, attributes, c.op == "LSTM" ? 3 : 2);
}

std::int64_t constant_elements(const Graph& graph) {
  std::int64_t sum = 0;
  for (const Tensor& tensor : graph.tensors)
    sum += tensor.is_constant() && tensor.shape.size() > 0 ? tensor.elements() : 0;
  return sum;
}

void check(const Case& c) {
  const OneNode one = node_of(c);
  const auto wanted = one.evaluate();
  const Graph canonical = canonicalise(one.graph());
  TensorMap data;
  for (std::size_t i = 0; i < one.inputs().size(); ++i) {
    const In& in = one.inputs()[i];
    if (in.value && !in.constant) data["in" + std::to_string(i)] = *in.value;
  }
  const TensorMap found = execute(canonical, data);
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    const HostTensor& y = found.at("out" + std::to_string(k));
    REQUIRE(y.shape == wanted[k].shape);
    for (std::size_t i = 0; i < y.floats().size(); ++i) {
      REQUIRE(y.floats()[i] == Approx(wanted[k].floats()[i]).margin(2e-6));
    }
  }
  int stands_for_it = 0;
  for (const Node& node : canonical.nodes) {
    CHECK(node.op != c.op);
    stands_for_it += static_cast<int>(node.origins.size());
  }
  CHECK(stands_for_it == 1);
  // Every step reads the same weights; a coupled forget gate has some that nothing reads.
  if (c.constant_weights) CHECK(constant_elements(canonical) <= constant_elements(one.graph()));
}

}  // namespace

TEST_CASE("unrolled recurrences compute the same", "[canonical][recurrent]") {
  for (const std::string op : {"RNN", "GRU", "LSTM"}) {
    for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
      for (const std::int64_t layout : {0, 1}) {
        for (const std::int64_t steps : {1, 3}) {
          for (const bool biased : {false, true}) {
            for (const bool initial : {false, true}) {
              CAPTURE(op, direction, layout, steps, biased, initial);
              check({op, direction, layout, steps, biased, initial, true, {}, false});
              check({op, direction, layout, steps, biased, initial, false, {}, op == "LSTM"});
            }
          }
        }
      }
    }
  }
}

TEST_CASE("unrolled recurrences of every variant", "[canonical][recurrent]") {
  for (const bool initial : {false, true}) {
    for (const bool biased : {false, true}) {
      Case gru{.op = "GRU", .direction = "bidirectional", .biased = biased, .initial = initial};
      gru.extra = {{"linear_before_reset", std::int64_t{1}}};
      check(gru);
    }
    Case lstm{.direction = "reverse", .initial = initial, .peephole = true};
    check(lstm);
    lstm.extra = {{"input_forget", std::int64_t{1}}};
    check(lstm);
    lstm.peephole = false;
    lstm.extra["clip"] = 0.5F;
    check(lstm);
  }
}

TEST_CASE("unrolled recurrences with other activations", "[canonical][recurrent]") {
  using Names = std::vector<std::string>;
  using Numbers = std::vector<float>;
  for (const char* name : {"Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "Affine", "ScaledTanh", "HardSigmoid",
                           "LeakyRelu", "Elu", "ThresholdedRelu"}) {
    CAPTURE(name);
    Case rnn{.op = "RNN"};
    rnn.extra = {{"activations", Names{name}}};
    check(rnn);
    rnn.extra["activation_alpha"] = Numbers{0.7F};
    rnn.extra["activation_beta"] = Numbers{0.3F};
    check(rnn);
  }
  // Parameters go, in order, to those functions that take them.
  Case lstm{.direction = "bidirectional"};
  lstm.extra = {{"activations", Names{"HardSigmoid", "Tanh", "LeakyRelu", "Sigmoid", "Elu", "ScaledTanh"}},
                {"activation_alpha", Numbers{0.3F, 0.05F, 0.8F, 1.5F}},
                {"activation_beta", Numbers{0.4F, 0.6F}}};
  check(lstm);
}

TEST_CASE("what the NPU does not unroll is refused by name", "[canonical][recurrent][errors]") {
  const auto refusal_of = [](const Graph& graph) -> std::string {
    try {
      static_cast<void>(canonicalise(graph));
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  Case endless{.op = "GRU", .steps = 1025};
  CHECK_THAT(refusal_of(node_of(endless).graph()),
             Catch::Contains("GRU with sequence lengths of its own or over 1024"));
  const auto with_lengths = [](HostTensor lengths) {
    return OneNode("RNN",
                   {values({3, 2, 3}, 1), fixed(values({1, 4, 3}, 2)), fixed(values({1, 4, 4}, 3)), omitted(),
                    fixed(std::move(lengths))},
                   {{"hidden_size", std::int64_t{4}}}, 2);
  };
  CHECK_THAT(refusal_of(with_lengths(ints({2}, {3, 2}, DataType::kInt32)).graph()), Catch::Contains("RNN"));
  CHECK(refusal_of(with_lengths(ints({2}, {3, 3}, DataType::kInt32)).graph()).empty());
}
