// Does the tiny model compute, with activations in range at every depth?
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace {

using namespace spillway::workloads;

TensorMap inputs_of(const Graph& graph, std::uint64_t seed) {
  TensorMap inputs;
  for (const auto id : graph.inputs) {
    const auto& tensor = graph.tensors[id];
    inputs.emplace(tensor.name, random_tensor(tensor.type, tensor.shape, seed + static_cast<std::uint64_t>(id)));
  }
  if (inputs.count("timestep") != 0) {
    for (auto& t : inputs.at("timestep").floats()) t = 981.0F;
  }
  return inputs;
}

double deviation(const HostTensor& tensor) {
  double sum = 0;
  double squares = 0;
  for (const float x : tensor.floats()) {
    sum += x;
    squares += static_cast<double>(x) * x;
  }
  const auto n = static_cast<double>(tensor.floats().size());
  return std::sqrt(std::max(0.0, squares / n - sum / n * sum / n));
}

// Sample `index` of a batch.
HostTensor sample_of(const HostTensor& batch, std::int64_t index) {
  HostTensor one{batch.type, batch.shape, {}};
  one.shape[0] = 1;
  const auto n = elements_of(one.shape);
  std::visit(
      [&](const auto& values) {
        one.data = std::decay_t<decltype(values)>(values.begin() + index * n, values.begin() + (index + 1) * n);
      },
      batch.data);
  return one;
}

}  // namespace

TEST_CASE("sd-tiny's activations stay in range", "[zoo][run]") {
  for (const auto& name : zoo_graphs("sd-tiny")) {
    const auto graph = zoo_graph("sd-tiny", name);
    std::vector<std::string> every_tensor;
    for (const auto& tensor : graph.tensors) {
      if (tensor.producer != kNone && !tensor.constant && is_float(tensor.type)) every_tensor.push_back(tensor.name);
    }
    const auto values = execute(graph, inputs_of(graph, 5), every_tensor);
    for (const auto id : graph.outputs) {
      INFO(name << ": " << graph.tensors[id].name);
      const auto& output = values.at(graph.tensors[id].name);
      CHECK(deviation(output) > 0.01);
      CHECK(deviation(output) < 100);
    }
    for (const auto& tensor : every_tensor) {
      INFO(name << ": " << tensor);
      double largest = 0;
      for (const float x : values.at(tensor).floats()) largest = std::max(largest, std::abs(static_cast<double>(x)));
      const bool mask = graph.tensors[graph.find_tensor(tensor)].shape.back() == 77;  // scores under the causal mask
      CHECK(std::isfinite(largest));
      if (!mask) CHECK(largest < 1000);
    }
  }
}

TEST_CASE("resnet50's activations stay in range, and its logits tell images apart", "[zoo][run]") {
  const auto graph = zoo_graph("resnet50", "classifier", {.image = 64});
  const auto last = std::string("/layer4/layer4.2/relu_2/Relu_output_0");
  const auto first = execute(graph, inputs_of(graph, 5), {last});
  CHECK(deviation(first.at(last)) > 0.1);
  CHECK(deviation(first.at(last)) < 10);
  CHECK(deviation(first.at("output")) > 0.1);
  CHECK(deviation(first.at("output")) < 10);
  CHECK(first.at("output").floats() != execute(graph, inputs_of(graph, 6)).at("output").floats());
}

TEST_CASE("a batch of two is two batches of one", "[zoo][run]") {
  for (const char* name : {"text_encoder", "unet", "vae_encoder", "vae_decoder"}) {
    const auto pair = zoo_graph("sd-tiny", name, {.batch = 2});
    const auto single = zoo_graph("sd-tiny", name, {.batch = 1});
    const auto inputs = inputs_of(pair, 11);
    const auto both = execute(pair, inputs);
    for (std::int64_t i = 0; i < 2; ++i) {
      TensorMap one;
      for (const auto& [input, tensor] : inputs) one.emplace(input, sample_of(tensor, i));
      for (const auto& [output, tensor] : execute(single, one)) {
        INFO(name << ": " << output << " of sample " << i);
        const auto expected = sample_of(both.at(output), i);
        REQUIRE(tensor.shape == expected.shape);
        double worst = 0;
        for (std::size_t e = 0; e < tensor.floats().size(); ++e) {
          worst = std::max(worst, std::abs(static_cast<double>(tensor.floats()[e]) - expected.floats()[e]));
        }
        CHECK(worst < 1e-4);
      }
    }
  }
}

TEST_CASE("the pooled output is the hidden state at the largest token", "[zoo][run]") {
  const auto graph = zoo_graph("sd-tiny", "text_encoder", {.batch = 2});
  TensorMap inputs = inputs_of(graph, 3);
  auto& ids = inputs.at("input_ids").ints();
  for (auto& id : ids) id %= 900;
  ids[0 * 77 + 40] = 999;
  ids[1 * 77 + 12] = 999;
  const auto outputs = execute(graph, inputs);
  const auto& hidden = outputs.at("last_hidden_state").floats();
  const auto& pooled = outputs.at("pooler_output").floats();
  for (std::size_t c = 0; c < 32; ++c) {
    CHECK(pooled[c] == hidden[40 * 32 + c]);
    CHECK(pooled[32 + c] == hidden[(77 + 12) * 32 + c]);
  }
}

TEST_CASE("tokens do not see later tokens", "[zoo][run]") {
  const auto graph = zoo_graph("sd-tiny", "text_encoder");
  TensorMap inputs = inputs_of(graph, 3);
  const auto before = execute(graph, inputs).at("last_hidden_state").floats();
  inputs.at("input_ids").ints()[50] ^= 1;
  const auto after = execute(graph, inputs).at("last_hidden_state").floats();
  CHECK(std::equal(before.begin(), before.begin() + 50 * 32, after.begin()));
  CHECK_FALSE(std::equal(before.begin() + 50 * 32, before.end(), after.begin() + 50 * 32));
}
