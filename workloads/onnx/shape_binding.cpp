#include "workloads/onnx/shape_binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "configs/error.h"

namespace spillway::workloads {
namespace {

/// A named dimension's extent, and who fixed it.
struct Bound {
  std::int64_t value = 0;
  std::string by;
};
using BoundDims = std::map<std::string, Bound>;

void bind_dim(BoundDims& dims, const std::string& name, std::int64_t value, const std::string& by) {
  if (value < 1) {
    throw Error(ErrorKind::kBadInput, Place{},
                fmt::format("dimension '{}' is {} by {} when it should be at least 1", name, value, by));
  }
  const auto [place, added] = dims.emplace(name, Bound{value, by});
  if (!added && place->second.value != value) {
    throw Error(
        ErrorKind::kBadInput, Place{},
        fmt::format("dimension '{}' is {} by {} and {} by {}", name, place->second.value, place->second.by, value, by));
  }
}

void check_input_shape(const Tensor& tensor) {
  try {
    check_shape(tensor.shape);
  } catch (const Error& error) {
    throw error.within(Place{.tensor = tensor.name});
  }
}

/// Checks a whole shape that the user gave against what the file fixes, and learns the dimension names in it.
/// Empty tensors are data like any other to a graph of dynamic shapes.
void bind_whole_input(const Tensor& tensor, const Declared& declared, const Shape& shape, bool dynamic,
                      BoundDims& dims) {
  const Place place{.tensor = tensor.name};
  const std::int64_t least = dynamic ? 0 : 1;
  if (std::any_of(shape.begin(), shape.end(), [&](auto extent) { return extent < least; })) {
    throw Error(ErrorKind::kBadInput, place,
                fmt::format("is bound to {} when every extent should be at least {}", to_string(shape), least));
  }
  if (!declared.extents) return;
  const auto& extents = *declared.extents;
  if (extents.size() != shape.size()) {
    throw Error(ErrorKind::kBadInput, place,
                fmt::format("is bound to {} (rank {}) when the model declares {} (rank {})", to_string(shape),
                            shape.size(), to_string(extents), extents.size()));
  }
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (extents[d].value && *extents[d].value != shape[d]) {
      throw Error(ErrorKind::kBadInput, place,
                  fmt::format("is bound to {} when the model fixes {}: dimension {} is {} and cannot become {}",
                              to_string(shape), to_string(extents), d, *extents[d].value, shape[d]));
    }
    if (!extents[d].name.empty() && shape[d] > 0)
      bind_dim(dims, extents[d].name, shape[d], fmt::format("the shape of input '{}'", tensor.name));
  }
}

/// Whether a shape fits an input as far as the file and the named dimensions say, and says more.
bool completes(const Declared& declared, const Shape& shape, const ShapeBindings& bindings) {
  if (!declared.extents) return true;
  if (declared.extents->size() != shape.size()) return false;
  bool open = false;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto& extent = (*declared.extents)[d];
    const auto named = bindings.dims.find(extent.name);
    const auto fixed = extent.value                                           ? extent.value
                       : !extent.name.empty() && named != bindings.dims.end() ? std::optional(named->second)
                                                                              : std::nullopt;
    if (fixed && *fixed != shape[d]) return false;
    open |= !fixed;
  }
  return open;
}

/// The --shape flag that would bind an input: what is known as it is, the rest by an arbitrary legal extent.
std::string example_shape(const Tensor& tensor, const std::vector<DeclaredExtent>& extents, const BoundDims& dims) {
  std::vector<std::string> parts;
  for (const auto& extent : extents) {
    const auto bound = dims.find(extent.name);
    parts.push_back(extent.value                               ? std::to_string(*extent.value)
                    : bound != dims.end()                      ? std::to_string(bound->second.value)
                    : extents.size() == 4 && parts.size() >= 2 ? "64"
                                                               : "1");
  }
  return fmt::format("--shape {}:{}", tensor.name, fmt::join(parts, "x"));
}

}  // namespace

void bind_inputs(ReadGraph& read, const ShapeBindings& bindings) {
  auto& graph = read.graph;
  BoundDims dims;
  for (const auto& [name, value] : bindings.dims)
    bind_dim(dims, name, value, fmt::format("--shape {}={}", name, value));

  std::set<std::string> declared_names;
  std::set<std::string> used_inputs;
  std::map<std::string, Shape> taken = bindings.inputs;
  for (const auto id : graph.inputs) {
    const auto& tensor = graph.tensors[id];
    const auto& declared = read.declared[id];
    for (const auto& extent : declared.extents.value_or(std::vector<DeclaredExtent>{}))
      declared_names.insert(extent.name);
    const auto bound = bindings.inputs.find(tensor.name);
    if (bound == bindings.inputs.end()) {
      const auto offered = bindings.offered.find(tensor.name);
      if (offered == bindings.offered.end() || !completes(declared, offered->second, bindings)) continue;
      bind_whole_input(tensor, declared, offered->second, bindings.dynamic, dims);
      taken.emplace(tensor.name, offered->second);
      continue;
    }
    used_inputs.insert(tensor.name);
    bind_whole_input(tensor, declared, bound->second, bindings.dynamic, dims);
  }

  std::vector<std::string> unbound;
  std::string example;
  for (const auto id : graph.inputs) {
    auto& tensor = graph.tensors[id];
    const auto& declared = read.declared[id];
    const Place place{.tensor = tensor.name};
    if (!declared.type) throw Error(ErrorKind::kBadInput, place, "is a graph input without an element type");
    tensor.type = *declared.type;
    const auto whole_shape = taken.find(tensor.name);
    if (whole_shape != taken.end()) {
      tensor.shape = whole_shape->second;
      check_input_shape(tensor);
      continue;
    }
    if (!declared.extents) {
      unbound.push_back(fmt::format("the whole shape of input '{}'", tensor.name));
      if (example.empty()) example = fmt::format("--shape {}:1x77", tensor.name);
      continue;
    }
    bool complete = true;
    for (std::size_t d = 0; d < declared.extents->size(); ++d) {
      const auto& extent = (*declared.extents)[d];
      const auto bound = dims.find(extent.name);
      if (extent.value) {
        tensor.shape.push_back(*extent.value);
      } else if (!extent.name.empty() && bound != dims.end()) {
        tensor.shape.push_back(bound->second.value);
      } else {
        complete = false;
        unbound.push_back(extent.name.empty()
                              ? fmt::format("dimension {} of input '{}'", d, tensor.name)
                              : fmt::format("'{}' (dimension {} of input '{}')", extent.name, d, tensor.name));
      }
    }
    if (!complete && example.empty()) example = example_shape(tensor, *declared.extents, dims);
    if (complete) check_input_shape(tensor);
  }
  if (!unbound.empty()) {
    throw Error(
        ErrorKind::kBadInput, Place{},
        fmt::format("has dynamic dimensions that nothing binds: {}", fmt::join(unbound, ", ")),
        fmt::format("bind a whole input, for example {}, or a dimension by its name, for example --shape NAME=1",
                    example));
  }
  for (const auto& [name, value] : bindings.dims) {
    if (!declared_names.contains(name)) {
      graph.warnings.push_back(
          fmt::format("--shape {}={} binds nothing: no input has a dimension of that name", name, value));
    }
  }
  for (const auto& [name, shape] : bindings.inputs) {
    if (!used_inputs.contains(name)) {
      graph.warnings.push_back(
          fmt::format("--shape {}:{} binds nothing: there is no input of that name", name, to_string(shape)));
    }
  }
}

}  // namespace spillway::workloads
