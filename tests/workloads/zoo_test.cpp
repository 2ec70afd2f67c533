// Does the zoo refuse what it cannot build, and build what the options say?
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace {

using namespace spillway;
using namespace spillway::workloads;
using Catch::Matchers::Contains;

Error error_of(const std::string& model, const std::string& graph, const ZooOptions& options = {}) {
  try {
    static_cast<void>(zoo_graph(model, graph, options));
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error from " << model << "/" << graph);
  throw;
}

Shape shape_of(const Graph& graph, const std::string& tensor) {
  const auto id = graph.find_tensor(tensor);
  INFO(tensor);
  REQUIRE(id != kNone);
  return graph.tensors[id].shape;
}

std::vector<std::string> names_of(const Graph& graph, const std::vector<TensorId>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const auto id : ids) names.push_back(graph.tensors[id].name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("an unknown zoo model or graph suggests the nearest name", "[zoo]") {
  const auto model = error_of("sd16", "unet");
  CHECK(model.kind() == ErrorKind::kBadInput);
  CHECK_THAT(model.what(), Contains("'sd16'"));
  CHECK_THAT(model.help(), Contains("did you mean 'sd15'"));

  const auto graph = error_of("sd15", "vae_decode");
  CHECK(graph.kind() == ErrorKind::kBadInput);
  CHECK_THAT(graph.what(), Contains("sd15") && Contains("'vae_decode'"));
  CHECK_THAT(graph.help(), Contains("did you mean 'vae_decoder'"));

  CHECK_THAT(error_of("sd15", "text_encoder_2").what(), Contains("no graph 'text_encoder_2'"));
  CHECK_THROWS_AS(zoo_graphs("resnet49"), Error);
  CHECK_THAT(error_of("resnet50", "unet").what(), Contains("resnet50") && Contains("'unet'"));
}

TEST_CASE("zoo options out of range are refused with both numbers", "[zoo]") {
  const auto problem = [](const ZooOptions& options) { return error_of("sd-tiny", "unet", options).problem(); };
  CHECK(problem({.batch = -1}) == "is -1 when it should be from 1 to 256");
  CHECK(problem({.batch = std::numeric_limits<std::int64_t>::max()}) ==
        "is 9223372036854775807 when it should be from 1 to 256");
  CHECK(problem({.image = -64}) == "is -64 when it should be from 1 to 8192");
  CHECK(problem({.image = 100}) == "is 100 when it should be a multiple of 64");
  CHECK(problem({.image = std::int64_t{1} << 62}) == "is 4611686018427387904 when it should be from 1 to 8192");
  CHECK(problem({.sequence = 78}) == "is 78 when it should be from 1 to 77");
  CHECK(problem({.precision = "fp8"}) == "the zoo has no weights in 'fp8'");

  const auto image = error_of("sd-tiny", "unet", {.image = 100});
  CHECK(image.kind() == ErrorKind::kBadInput);
  CHECK(image.place().key == "image");
  CHECK(image.help() == "the nearest sizes are 64 and 128");

  const auto step = error_of("resnet50", "classifier", {.image = 230});
  CHECK(step.problem() == "is 230 when it should be a multiple of 32");
  CHECK(step.help() == "the nearest sizes are 224 and 256");
  const auto tokens = error_of("resnet50", "classifier", {.sequence = 77});
  CHECK(tokens.kind() == ErrorKind::kBadInput);
  CHECK(tokens.place().key == "sequence");
  CHECK(tokens.problem() == "is 77 when resnet50 reads no text");
}

TEST_CASE("the zoo lists its models and their graphs in pipeline order", "[zoo]") {
  CHECK(zoo_models() == Names{"sd15", "sd21", "sdxl", "sd-tiny", "resnet50"});
  const Names one_encoder{"text_encoder", "unet", "vae_encoder", "vae_decoder"};
  CHECK(zoo_graphs("sd15") == one_encoder);
  CHECK(zoo_graphs("sd21") == one_encoder);
  CHECK(zoo_graphs("sd-tiny") == one_encoder);
  CHECK(zoo_graphs("sdxl") == Names{"text_encoder", "text_encoder_2", "unet", "vae_encoder", "vae_decoder"});
  CHECK(zoo_graphs("resnet50") == Names{"classifier"});
}

TEST_CASE("zoo graphs have the exporters' inputs and outputs at default size", "[zoo]") {
  const auto text = zoo_graph("sd15", "text_encoder");
  CHECK(text.source == "zoo:sd15/text_encoder");
  CHECK(text.opset == 14);
  CHECK(names_of(text, text.inputs) == Names{"input_ids"});
  CHECK(names_of(text, text.outputs) == Names{"last_hidden_state", "pooler_output"});
  CHECK(shape_of(text, "last_hidden_state") == Shape{1, 77, 768});
  CHECK(shape_of(text, "pooler_output") == Shape{1, 768});
  CHECK(text.tensors[text.inputs[0]].type == DataType::kInt32);

  const auto unet = zoo_graph("sd15", "unet");
  CHECK(names_of(unet, unet.inputs) == Names{"sample", "timestep", "encoder_hidden_states"});
  CHECK(shape_of(unet, "sample") == Shape{2, 4, 64, 64});
  CHECK(shape_of(unet, "timestep") == Shape{2});
  CHECK(shape_of(unet, "encoder_hidden_states") == Shape{2, 77, 768});
  CHECK(names_of(unet, unet.outputs) == Names{"out_sample"});
  CHECK(shape_of(unet, "out_sample") == Shape{2, 4, 64, 64});

  const auto encoder = zoo_graph("sd15", "vae_encoder");
  CHECK(shape_of(encoder, "sample") == Shape{1, 3, 512, 512});
  CHECK(shape_of(encoder, "latent_sample") == Shape{1, 4, 64, 64});
  const auto decoder = zoo_graph("sd15", "vae_decoder");
  CHECK(shape_of(decoder, "latent_sample") == Shape{1, 4, 64, 64});
  CHECK(shape_of(decoder, "sample") == Shape{1, 3, 512, 512});
}

TEST_CASE("resnet50 is what PyTorch exports in evaluation mode", "[zoo]") {
  const auto graph = zoo_graph("resnet50", "classifier", {.batch = 3});
  CHECK(names_of(graph, graph.inputs) == Names{"input"});
  CHECK(shape_of(graph, "input") == Shape{3, 3, 224, 224});
  CHECK(names_of(graph, graph.outputs) == Names{"output"});
  CHECK(shape_of(graph, "output") == Shape{3, 1000});
  CHECK(shape_of(graph, "/maxpool/MaxPool_output_0") == Shape{3, 64, 56, 56});
  CHECK(shape_of(graph, "/layer1/layer1.2/relu_2/Relu_output_0") == Shape{3, 256, 56, 56});
  // "v1.5": the first convolution of a stage still has the size of the stage before.
  CHECK(shape_of(graph, "/layer2/layer2.0/conv1/Conv_output_0") == Shape{3, 128, 56, 56});
  CHECK(shape_of(graph, "/layer2/layer2.0/conv2/Conv_output_0") == Shape{3, 128, 28, 28});
  CHECK(shape_of(graph, "/layer4/layer4.2/relu_2/Relu_output_0") == Shape{3, 2048, 7, 7});
  CHECK(statistics_of(graph).ops == std::map<std::string, std::int64_t>{{"Add", 16},
                                                                        {"Conv", 53},
                                                                        {"Flatten", 1},
                                                                        {"Gemm", 1},
                                                                        {"GlobalAveragePool", 1},
                                                                        {"MaxPool", 1},
                                                                        {"Relu", 49}});
  CHECK(shape_of(zoo_graph("resnet50", "classifier", {.image = 64}), "/layer4/layer4.2/Add_output_0") ==
        Shape{1, 2048, 2, 2});
}

TEST_CASE("SDXL is conditioned on pooled text and sizes and runs at 1024x1024", "[zoo]") {
  const auto unet = zoo_graph("sdxl", "unet");
  CHECK(names_of(unet, unet.inputs) == Names{"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"});
  CHECK(shape_of(unet, "sample") == Shape{2, 4, 128, 128});
  CHECK(shape_of(unet, "encoder_hidden_states") == Shape{2, 77, 2048});
  CHECK(shape_of(unet, "text_embeds") == Shape{2, 1280});
  CHECK(shape_of(unet, "time_ids") == Shape{2, 6});
  CHECK(shape_of(unet, "add_embedding.linear_1.weight") == Shape{1280, 2816});

  // The context is the second-last hidden states of both encoders: 768 + 1280 = 2048 wide.
  const auto first = zoo_graph("sdxl", "text_encoder");
  CHECK(shape_of(first, "hidden_states.11") == Shape{1, 77, 768});
  const auto second = zoo_graph("sdxl", "text_encoder_2");
  CHECK(shape_of(second, "hidden_states.31") == Shape{1, 77, 1280});
  CHECK(shape_of(second, "text_embeds") == Shape{1, 1280});
  CHECK(shape_of(zoo_graph("sdxl", "vae_decoder"), "sample") == Shape{1, 3, 1024, 1024});
}

TEST_CASE("zoo options set batch, image, sequence and precision", "[zoo]") {
  const ZooOptions options{.batch = 3, .image = 768, .sequence = 50, .precision = "fp16"};
  const auto unet = zoo_graph("sd21", "unet", options);
  CHECK(shape_of(unet, "sample") == Shape{3, 4, 96, 96});
  CHECK(shape_of(unet, "encoder_hidden_states") == Shape{3, 50, 1024});
  for (const auto& tensor : unet.tensors) {
    INFO(tensor.name);
    if (tensor.constant && tensor.shape.size() >= 2 && std::holds_alternative<Generator>(tensor.constant->source)) {
      CHECK(tensor.type == DataType::kFloat16);
    }
  }
  // As in diffusers, the sinusoids of the timestep are float32 whatever the rest is.
  CHECK(unet.tensors[unet.find_tensor("timestep")].type == DataType::kFloat32);
  CHECK(unet.tensors[unet.find_tensor("sample")].type == DataType::kFloat16);
  CHECK(unet.tensors[unet.find_tensor("out_sample")].type == DataType::kFloat16);

  const auto text = zoo_graph("sd21", "text_encoder", options);
  CHECK(shape_of(text, "input_ids") == Shape{3, 50});
  CHECK(shape_of(text, "pooler_output") == Shape{3, 1024});
  // The table of positions keeps its published size.
  CHECK(shape_of(text, "text_model.embeddings.position_embedding.weight") == Shape{77, 1024});
}

TEST_CASE("every zoo graph loads, and all weights that an export has beside the model are generated", "[zoo]") {
  for (const auto& model : zoo_models()) {
    for (const auto& name : zoo_graphs(model)) {
      INFO(model << "/" << name);
      const auto graph = zoo_graph(model, name);
      CHECK(graph.warnings.empty());
      std::set<std::uint64_t> seeds;
      std::int64_t held = 0;
      for (const auto& tensor : graph.tensors) {
        if (!tensor.constant) continue;
        CHECK_FALSE(tensor.constant->missing());
        if (tensor.producer != kNone || !is_float(tensor.type)) continue;
        held += tensor.elements();
        const auto* generator = std::get_if<Generator>(&tensor.constant->source);
        CHECK((generator != nullptr) == (tensor.elements() * bytes_of(tensor.type) >= 1024));
        if (generator != nullptr) CHECK(seeds.insert(generator->seed).second);
      }
      CHECK_FALSE(seeds.empty());
      CHECK(held == statistics_of(graph).parameters);
    }
  }
}

TEST_CASE("zoo weights depend on the seed and the name only", "[zoo]") {
  const auto weight = [](const ZooOptions& options, const std::string& name) {
    const auto graph = zoo_graph("sd-tiny", "unet", options);
    return materialise(graph.tensors[graph.find_tensor(name)]).floats();
  };
  const std::string name = "mid_block.resnets.0.conv1.weight";
  const auto first = weight({}, name);
  CHECK(first == weight({.batch = 1, .image = 128}, name));
  CHECK(first != weight({.seed = 2}, name));
  CHECK(first != weight({}, "mid_block.resnets.1.conv1.weight"));

  // conv1 is 32 x 32 x 3 x 3: fan-in 288, so the deviation is 1 / sqrt 288 = 0.0589 and the range sqrt 3 times that.
  double squares = 0;
  for (const float w : first) squares += static_cast<double>(w) * w;
  CHECK(std::sqrt(squares / static_cast<double>(first.size())) == Approx(0.0589).epsilon(0.03));
  CHECK(*std::max_element(first.begin(), first.end()) <= 0.1021F);
}
