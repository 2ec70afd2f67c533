#include "workloads/zoo/zoo.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "configs/error.h"
#include "workloads/onnx/folding.h"
#include "workloads/zoo/models.h"

namespace spillway::workloads {
namespace zoo {
namespace {

// Far beyond what anybody profiles, and small enough that no shape of the zoo overflows.
constexpr std::int64_t kMaxImage = 8192;
constexpr std::int64_t kMaxBatch = 256;

[[noreturn]] void bad(const std::string& key, const std::string& problem, const std::string& help) {
  throw Error(ErrorKind::kBadInput, Place{.key = key}, problem, help);
}

std::string unknown_help(const std::string& name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known);
  const std::string list = fmt::format("known: {}", fmt::join(known, ", "));
  return nearest.empty() ? list : fmt::format("did you mean '{}'? {}", nearest, list);
}

DataType float_type(const std::string& precision) {
  if (precision == "fp32") return DataType::kFloat32;
  if (precision == "fp16") return DataType::kFloat16;
  bad("precision", fmt::format("the zoo has no weights in '{}'", precision), unknown_help(precision, {"fp32", "fp16"}));
}

std::int64_t in_range(const std::string& key, std::int64_t asked, std::int64_t fallback, std::int64_t largest) {
  const std::int64_t value = asked == 0 ? fallback : asked;
  if (value < 1 || value > largest) {
    bad(key, fmt::format("is {} when it should be from 1 to {}", value, largest), "0 is the model's default");
  }
  return value;
}

Request request_of(const ModelConfig& model, const std::string& graph, const ZooOptions& options) {
  Request request;
  request.batch = in_range("batch", options.batch, graph == "unet" ? 2 : 1, kMaxBatch);
  request.image = in_range("image", options.image, model.image, kMaxImage);
  if (!model.text.empty()) {
    std::int64_t positions = model.text.front().positions;
    for (const auto& text : model.text) positions = std::min(positions, text.positions);
    request.sequence = in_range("sequence", options.sequence, positions, positions);
  } else if (options.sequence != 0) {
    bad("sequence", fmt::format("is {} when {} reads no text", options.sequence, model.name), "leave it out");
  }
  if (const std::int64_t step = model.image_step; request.image % step != 0) {
    const std::int64_t below = std::max(step, request.image / step * step);
    bad("image", fmt::format("is {} when it should be a multiple of {}", request.image, step),
        fmt::format("the nearest sizes are {} and {}", below, std::min(kMaxImage, below + step)));
  }
  return request;
}

const TextConfig* text_config(const ModelConfig& model, const std::string& graph) {
  const auto found =
      std::find_if(model.text.begin(), model.text.end(), [&](const TextConfig& text) { return text.graph == graph; });
  return found == model.text.end() ? nullptr : &*found;
}

// Gives the importer's absent weights their generators, and what it folded from absent values its values.
void generate_weights(Graph& graph, const std::vector<Weight>& weights) {
  std::unordered_map<std::string_view, const Generator*> generators;
  for (const auto& weight : weights) generators.emplace(weight.name, &weight.generator);
  for (auto& tensor : graph.tensors) {
    if (!tensor.constant || !tensor.constant->missing()) continue;
    const auto found = generators.find(tensor.name);
    if (found != generators.end()) tensor.constant->source = *found->second;
  }
  Folder folder(graph);
  for (auto& node : graph.nodes) {
    const auto missing = [&](TensorId id) { return id != kNone && graph.tensors[id].constant->missing(); };
    if (!node.folded || std::none_of(node.outputs.begin(), node.outputs.end(), missing)) continue;
    folder.fold(node);
    if (std::any_of(node.outputs.begin(), node.outputs.end(), missing)) {
      internal_error("zoo: the importer folded a node that has no value: " + node.name);
    }
  }
}

}  // namespace

const ModelConfig& find_model(const std::string& name) {
  const auto& models = configurations();
  const auto found = std::find_if(models.begin(), models.end(), [&](const ModelConfig& m) { return m.name == name; });
  if (found != models.end()) return *found;
  throw Error(ErrorKind::kBadInput, Place{}, fmt::format("the zoo has no model '{}'", name),
              unknown_help(name, zoo_models()));
}

std::vector<std::string> graph_names(const ModelConfig& model) {
  std::vector<std::string> names;
  for (const auto& text : model.text) names.push_back(text.graph);
  if (model.unet) names.emplace_back("unet");
  if (model.vae) names.insert(names.end(), {"vae_encoder", "vae_decoder"});
  if (model.classifier) names.emplace_back("classifier");
  return names;
}

Model build(const ModelConfig& model, const std::string& graph, const ZooOptions& options) {
  const auto graphs = graph_names(model);
  if (std::find(graphs.begin(), graphs.end(), graph) == graphs.end()) {
    throw Error(ErrorKind::kBadInput, Place{}, fmt::format("the zoo's {} has no graph '{}'", model.name, graph),
                unknown_help(graph, graphs));
  }
  const Request request = request_of(model, graph, options);
  Builder builder(fmt::format("{}_{}", model.name, graph), float_type(options.precision), options.seed);
  if (const auto* text = text_config(model, graph)) {
    build_text_encoder(builder, *text, request);
  } else if (graph == "unet") {
    build_unet(builder, *model.unet, request, model.vae->scale());
  } else if (graph == "vae_encoder") {
    build_vae_encoder(builder, *model.vae, request);
  } else if (graph == "vae_decoder") {
    build_vae_decoder(builder, *model.vae, request);
  } else {
    build_classifier(builder, *model.classifier, request);
  }
  return builder.finish();
}

}  // namespace zoo

std::vector<std::string> zoo_models() {
  std::vector<std::string> names;
  for (const auto& model : zoo::configurations()) names.push_back(model.name);
  return names;
}

std::vector<std::string> zoo_graphs(const std::string& model) { return zoo::graph_names(zoo::find_model(model)); }

Graph zoo_graph(const std::string& model, const std::string& graph, const ZooOptions& options) {
  const zoo::Model built = zoo::build(zoo::find_model(model), graph, options);
  // No folder: the importer finds no weights file anywhere, whatever the working folder holds.
  Graph result = import_onnx_bytes(built.bytes, fmt::format("zoo:{}/{}", model, graph), "");

  zoo::generate_weights(result, built.weights);
  // The weights are there after all.
  std::erase_if(result.warnings, [](const std::string& w) { return w.find(zoo::kWeightsFile) != std::string::npos; });
  return result;
}

}  // namespace spillway::workloads
