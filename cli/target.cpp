#include "cli/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

namespace spillway::cli {

namespace {

namespace fs = std::filesystem;
using workloads::HostTensor;
using workloads::ShapeBindings;

constexpr std::array kParts{"text_encoder", "text_encoder_2", "unet", "vae_encoder", "vae_decoder", "classifier"};

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Target zoo_target(const std::string& model, const std::string& only) {
  Target target{.name = model};
  for (const std::string& graph : workloads::zoo_graphs(model)) {
    if (only.empty() || graph == only) target.graphs.push_back({fmt::format("{}/{}", model, graph), graph, model, ""});
  }
  target.several = only.empty() && target.graphs.size() > 1;
  if (!only.empty()) target.name = model + "_" + only;
  return target;
}

/// "exports/unet/model.onnx" -> "unet": what an output folder should be called.
std::string name_of_file(const fs::path& path) {
  const std::string stem = path.stem().string();
  const std::string folder = fs::absolute(path).parent_path().filename().string();
  return stem == "model" && !folder.empty() ? folder : stem;
}

Target folder_target(const std::string& text) {
  const fs::path folder(text);
  Target target{.name = fs::absolute(folder / ".").lexically_normal().parent_path().filename().string()};
  for (const char* part : kParts) {
    const fs::path file = folder / part / "model.onnx";
    std::error_code error;
    if (fs::exists(file, error)) target.graphs.push_back({file.string(), part, "", file.string()});
  }
  target.several = !target.graphs.empty();
  if (const fs::path file = folder / "model.onnx"; target.graphs.empty() && fs::exists(file)) {
    target.graphs.push_back({file.string(), "", "", file.string()});
  }
  if (target.graphs.empty()) {
    throw Error(ErrorKind::kBadInput, Place{.file = text}, "the folder holds no graph that is known by its place",
                fmt::format("looked for model.onnx in {}, and in the folder itself", fmt::join(kParts, ", ")));
  }
  if (target.name.empty()) target.name = "model";
  return target;
}

[[noreturn]] void unknown_target(const std::string& text) {
  std::vector<std::string> names = workloads::zoo_models();
  for (const std::string& model : workloads::zoo_models()) {
    for (const std::string& graph : workloads::zoo_graphs(model)) names.push_back(fmt::format("{}/{}", model, graph));
  }
  const std::string nearest = nearest_name(text, names);
  throw Error(ErrorKind::kBadInput, Place{.file = text}, "no such file or folder, and no zoo model of that name",
              nearest.empty() ? "`spillway zoo list` shows the built-in models"
                              : fmt::format("did you mean '{}'? `spillway zoo list` shows all", nearest));
}

/// Dimension names that exporters of diffusion pipelines use, and what they are at the model's usual size.
std::map<std::string, std::int64_t> conventional_dims(const std::string& part, const Target& target,
                                                      const ModelFlags& flags, bool guidance) {
  const std::int64_t images = std::max<std::int64_t>(flags.batch, 1);
  const std::int64_t batch = part == "unet" && target.several && guidance ? 2 * images : images;
  const std::int64_t pixels = flags.image > 0 ? flags.image : 512;
  const std::int64_t side = part == "vae_encoder" ? pixels : pixels / 8;
  const std::int64_t channels = part == "vae_encoder" ? 3 : 4;
  const std::int64_t tokens = flags.sequence > 0 ? flags.sequence : 77;
  return {{"batch", batch},
          {"batch_size", batch},
          {"channels", channels},
          {"num_channels", channels},
          {"num_channels_latent", channels},
          {"height", side},
          {"width", side},
          {"height_latent", side},
          {"width_latent", side},
          {"sequence", tokens},
          {"sequence_length", tokens},
          {"steps", 1}};
}

/// --batch, --image and --sequence on a single file bind the names that exporters use, when they are given.
std::map<std::string, std::int64_t> dims_of_flags(const ModelFlags& flags) {
  std::map<std::string, std::int64_t> dims;
  if (flags.batch > 0) dims["batch"] = dims["batch_size"] = flags.batch;
  if (flags.image > 0) dims["height"] = dims["width"] = flags.image;
  if (flags.sequence > 0) dims["sequence"] = dims["sequence_length"] = flags.sequence;
  return dims;
}

std::string unused_warning(const std::string& name, std::int64_t value) {
  return fmt::format("--shape {}={} binds nothing", name, value);
}

/// Of --value NAME=INTEGER.
std::pair<std::string, HostTensor> parse_value(const std::string& text) {
  const auto equals = text.rfind('=');
  std::int64_t value = 0;
  const char* first = text.data() + equals + 1;
  const char* last = text.data() + text.size();
  if (equals == std::string::npos || equals == 0 || first == last || std::from_chars(first, last, value).ptr != last) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--value"}, fmt::format("'{}' is not NAME=INTEGER", text),
                "for example --value sr=16000");
  }
  return {text.substr(0, equals), HostTensor{workloads::DataType::kInt64, {}, std::vector<std::int64_t>{value}}};
}

/// A value that no input takes would change nothing without a word.
void check_value(const std::string& name, const workloads::Graph& graph) {
  const auto takes = [&](workloads::TensorId id) {
    const auto& input = graph.tensors[static_cast<std::size_t>(id)];
    return input.name == name && !workloads::is_float(input.type) && !input.dynamic && input.elements() == 1;
  };
  if (std::any_of(graph.inputs.begin(), graph.inputs.end(), takes)) return;
  throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .key = "--value"},
              fmt::format("no input '{}' of one integer or flag", name), "`spillway inspect` shows the inputs");
}

LoadedGraph load_file(const Target& target, const GraphTarget& graph, const ModelFlags& flags, bool guidance) {
  ShapeBindings bindings{.offered = flags.offered, .values = flags.values, .dynamic = flags.dynamic};
  for (const std::string& text : flags.given) bindings.values.insert(parse_value(text));
  bool whole_input = false;
  for (const std::string& text : flags.shapes) {
    const ShapeFlag flag = parse_shape(text);
    if (!flag.part.empty() && flag.part != graph.part) {
      // For a single file the prefix can only be part of the name.
      if (target.several) continue;
    }
    const std::string name = target.several || flag.part.empty() ? flag.name : flag.part + "/" + flag.name;
    if (flag.whole) {
      bindings.inputs[name] = flag.shape;
      whole_input = true;
    } else {
      bindings.dims[name] = flag.shape.front();
    }
  }
  // A whole input shape may contradict what convention says of its dimensions: then the user has the word alone.
  std::map<std::string, std::int64_t> assumed;
  if (!whole_input) {
    assumed = target.several ? conventional_dims(graph.part, target, flags, guidance) : dims_of_flags(flags);
  }
  for (const auto& [name, value] : bindings.dims) assumed.erase(name);
  bindings.dims.insert(assumed.begin(), assumed.end());

  LoadedGraph loaded{graph, workloads::import_onnx(graph.path, bindings), {}};
  for (const std::string& text : flags.given) {
    if (!target.several) check_value(parse_value(text).first, loaded.graph);
  }
  // What convention offered and the file did not ask for is no matter for a warning.
  std::vector<std::string> bound;
  auto& warnings = loaded.graph.warnings;
  for (const auto& [name, value] : assumed) {
    const auto unused = std::find_if(warnings.begin(), warnings.end(), [&, n = name, v = value](const std::string& w) {
      return w.starts_with(unused_warning(n, v));
    });
    if (unused != warnings.end()) {
      warnings.erase(unused);
    } else {
      bound.push_back(fmt::format("{}={}", name, value));
    }
  }
  if (!bound.empty() && target.several) {
    loaded.notes.push_back(
        fmt::format("dynamic dimensions bound by convention: {} (--shape changes them)", fmt::join(bound, ", ")));
  }
  return loaded;
}

LoadedGraph load_zoo(const Target& target, const GraphTarget& graph, const ModelFlags& flags, bool guidance) {
  if (!flags.given.empty()) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--value"}, "no model of the zoo has an If to decide",
                "leave it out");
  }
  workloads::ZooOptions options{
      .batch = flags.batch, .image = flags.image, .sequence = flags.sequence, .seed = flags.seed};
  const std::int64_t rows = guidance ? 2 : 1;
  if (graph.part == "unet" && target.several) options.batch = std::max<std::int64_t>(flags.batch, 1) * rows;
  if (graph.part == "unet" && options.batch == 0) options.batch = rows;
  return {graph, workloads::zoo_graph(graph.zoo_model, graph.part, options), {}};
}

void check_flags(const Target& target, const ModelFlags& flags) {
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"--batch", flags.batch}, {"--image", flags.image}, {"--sequence", flags.sequence}};
  for (const auto& [flag, value] : sizes) {
    if (value < 0)
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("{} is {}, should be at least 1", flag, value));
  }
  if (!flags.shapes.empty() && !target.graphs.front().zoo_model.empty()) {
    throw Error(ErrorKind::kBadInput, Place{},
                fmt::format("--shape '{}': a zoo model has no dimensions left to bind", flags.shapes.front()),
                "--batch, --image and --sequence are its sizes");
  }
}

/// Warnings about --shape flags that some other graph of the folder took.
void drop_taken_elsewhere(std::vector<LoadedGraph>& loaded) {
  const auto lacks = [](const LoadedGraph& graph, const std::string& warning) {
    return !contains(graph.graph.warnings, warning);
  };
  std::vector<std::string> taken;
  for (const LoadedGraph& graph : loaded) {
    for (const std::string& warning : graph.graph.warnings) {
      if (!warning.starts_with("--shape ")) continue;
      if (std::any_of(loaded.begin(), loaded.end(), [&](const auto& other) { return lacks(other, warning); })) {
        taken.push_back(warning);
      }
    }
  }
  for (LoadedGraph& graph : loaded)
    std::erase_if(graph.graph.warnings, [&](const auto& w) { return contains(taken, w); });
}

}  // namespace

Target resolve_target(const std::string& text) {
  const auto models = workloads::zoo_models();
  if (contains(models, text)) return zoo_target(text, "");
  if (const std::size_t slash = text.find('/'); slash != std::string::npos) {
    const std::string model = text.substr(0, slash), graph = text.substr(slash + 1);
    if (contains(models, model) && contains(workloads::zoo_graphs(model), graph)) return zoo_target(model, graph);
  }
  std::error_code error;
  const auto status = fs::status(text, error);
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory) {
    throw Error(ErrorKind::kBadInput, Place{.file = text}, "cannot be read: " + error.message());
  }
  if (fs::is_directory(status)) return folder_target(text);
  if (!fs::exists(status)) unknown_target(text);
  return Target{.name = name_of_file(text), .graphs = {{text, "", "", text}}};
}

std::vector<LoadedGraph> load_graphs(const Target& target, const ModelFlags& flags, bool guidance) {
  check_flags(target, flags);
  std::vector<LoadedGraph> loaded;
  for (const GraphTarget& graph : target.graphs) {
    loaded.push_back(graph.zoo_model.empty() ? load_file(target, graph, flags, guidance)
                                             : load_zoo(target, graph, flags, guidance));
  }
  drop_taken_elsewhere(loaded);
  return loaded;
}

LoadedGraph load_single(const Target& target, const ModelFlags& flags, const std::string& verb) {
  if (target.graphs.size() == 1) return std::move(load_graphs(target, flags, true).front());
  std::vector<std::string> labels;
  for (const GraphTarget& graph : target.graphs) labels.push_back(graph.label);
  throw Error(ErrorKind::kBadInput, Place{.file = flags.target},
              fmt::format("`{}` takes one graph, this has {}", verb, target.graphs.size()),
              fmt::format("choose one of {}", fmt::join(labels, ", ")));
}

}  // namespace spillway::cli
