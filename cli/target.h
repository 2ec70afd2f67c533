// TARGET: which graphs it names, and loading them.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "workloads/workloads.h"

namespace spillway::cli {

struct GraphTarget {
  std::string label;      ///< "sd15/unet", "path/unet/model.onnx": as reports name it
  std::string part;       ///< "unet" and so on within a pipeline; empty for a single ONNX file
  std::string zoo_model;  ///< empty: a file
  std::string path;       ///< of the ONNX file
};

struct Target {
  std::string name{};                 ///< for the default output folder
  std::vector<GraphTarget> graphs{};  ///< in pipeline order
  bool several = false;               ///< a model or folder: --batch counts images
};

/// Throws Error(kBadInput) naming what was looked for and the nearest zoo name.
[[nodiscard]] Target resolve_target(const std::string& text);

struct LoadedGraph {
  GraphTarget target;
  workloads::Graph graph;
  std::vector<std::string> notes;  ///< dimensions that were bound by convention
};

/// All graphs of the target, in its order: trouble in the last one shows before work on the first. `guidance` doubles
/// the default batch of a pipeline's U-Net. A --shape that binds something in one graph is no warning in the others.
[[nodiscard]] std::vector<LoadedGraph> load_graphs(const Target& target, const ModelFlags& flags, bool guidance);

/// The graph of a target that must be a single one. Throws Error(kBadInput) listing the graphs to choose from.
[[nodiscard]] LoadedGraph load_single(const Target& target, const ModelFlags& flags, const std::string& verb);

}  // namespace spillway::cli
