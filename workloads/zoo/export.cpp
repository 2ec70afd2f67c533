// Writes a model of the zoo as other tools expect it: one folder per graph, external weights beside the model.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "configs/error.h"
#include "workloads/decode.h"
#include "workloads/zoo/output_file.h"
#include "workloads/zoo/zoo.h"

namespace spillway::workloads {
namespace zoo {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBlockElements = std::int64_t{1} << 20;

// The same generator that a loaded zoo graph materialises from, seen as one row so that a block is one run.
void write_weight(OutputFile& file, const Weight& weight) {
  const std::int64_t count = elements_of(weight.shape);
  const Tensor row{.name = weight.name, .type = weight.type, .shape = {count}, .constant = Constant{weight.generator}};
  for (std::int64_t begin = 0; begin < count; begin += kBlockElements) {
    Box block{.rank = 1};
    block.set(0, static_cast<std::int32_t>(begin), static_cast<std::int32_t>(std::min(kBlockElements, count - begin)));
    file.write(encode_elements(materialise(row, block)));
  }
}

/// The folders that an export makes; those that are still empty go again if it does not come to writing.
class NewFolders {
 public:
  NewFolders() = default;
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;
  ~NewFolders() {
    std::error_code ignored;
    for (auto it = made_.rbegin(); it != made_.rend(); ++it) fs::remove(*it, ignored);  // refuses what is not empty
  }

  void make(const fs::path& folder) {
    std::error_code error;
    if (folder.empty() || fs::is_directory(folder, error)) return;
    make(folder.parent_path());
    if (fs::create_directory(folder, error)) made_.push_back(folder);
    if (error) fail(folder, error);
  }

 private:
  [[noreturn]] static void fail(const fs::path& folder, const std::error_code& error) {
    throw Error(ErrorKind::kBadInput, Place{.file = folder.string()},
                fmt::format("cannot make the folder: {}", error.message()), "choose another --out");
  }

  std::vector<fs::path> made_;
};

std::string megabytes(std::uintmax_t bytes) { return fmt::format("{:.2f} MB", static_cast<double>(bytes) / 1e6); }

// Better to say so now than after an hour of writing.
void check_space(const fs::path& folder, std::int64_t needed) {
  std::error_code error;
  const auto space = fs::space(folder, error);
  if (error || space.available >= static_cast<std::uintmax_t>(needed)) return;
  throw Error(ErrorKind::kBadInput, Place{.file = folder.string()},
              fmt::format("the export needs {} when {} are free", megabytes(static_cast<std::uintmax_t>(needed)),
                          megabytes(space.available)),
              "free some space, export in fp16, or export without weights");
}

struct Part {
  fs::path folder;
  Model model;
};

// A model without weights beside the weights of another one would load, with the wrong values.
void check_no_stale_weights(const Part& part) {
  std::error_code error;
  const auto weights = part.folder / kWeightsFile;
  if (!fs::exists(weights, error) || same_contents(part.folder / "model.onnx", part.model.bytes)) return;
  throw Error(ErrorKind::kBadInput, Place{.file = weights.string()}, "are the weights of another export",
              "remove the file, choose another --out, or export with --with-weights");
}

}  // namespace
}  // namespace zoo

void zoo_export(const std::string& model, const std::string& dir, const ZooOptions& options, bool with_weights) {
  const auto& config = zoo::find_model(model);
  std::vector<zoo::Part> parts;
  std::int64_t needed = 0;
  for (const auto& graph : zoo::graph_names(config)) {
    parts.push_back({zoo::fs::path(dir) / graph, zoo::build(config, graph, options)});
    needed += static_cast<std::int64_t>(parts.back().model.bytes.size());
    if (with_weights) needed += parts.back().model.weight_bytes();
  }
  zoo::NewFolders folders;
  for (const auto& part : parts) folders.make(part.folder);
  zoo::check_space(dir, needed);
  for (const auto& part : parts) {
    if (!with_weights) zoo::check_no_stale_weights(part);
  }

  for (const auto& part : parts) {
    // Both files are complete before either has its name.
    zoo::OutputFile onnx(part.folder / "model.onnx");
    onnx.write(part.model.bytes);
    if (with_weights) {
      zoo::OutputFile weights(part.folder / zoo::kWeightsFile);
      for (const auto& weight : part.model.weights) zoo::write_weight(weights, weight);
      weights.commit();
    }
    onnx.commit();
  }
}

}  // namespace spillway::workloads
