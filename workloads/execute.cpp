// The reference executor: node after node on whole tensors in float32, for exported and canonical graphs alike.
#include <algorithm>
#include <optional>
#include <set>

#include "configs/error.h"
#include "workloads/compute/strided.h"
#include "workloads/execution/finite.h"
#include "workloads/execution/segments.h"
#include "workloads/execution/value.h"
#include "workloads/operators/support.h"
#include "workloads/runtime_shapes.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

namespace {

std::string describe(DataType type, const Shape& shape) { return std::string(name_of(type)) + " " + to_string(shape); }

void check_inputs(const Graph& graph, const TensorMap& inputs) {
  std::vector<std::string> names;
  for (const TensorId id : graph.inputs) names.push_back(graph.tensors[id].name);
  for (const auto& [name, tensor] : inputs) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string nearest = nearest_name(name, names);
    throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .tensor = name}, "is not an input of the graph",
                nearest.empty() ? "" : "did you mean '" + nearest + "'?");
  }
  for (const TensorId id : graph.inputs) {
    const Tensor& declared = graph.tensors[id];
    const Place place{.file = graph.source, .tensor = declared.name};
    const auto given = inputs.find(declared.name);
    if (given == inputs.end()) throw Error(ErrorKind::kBadInput, place, "no value is given for this input");
    const HostTensor& value = given->second;
    // Floats of any width are held alike; integers must be what the graph declares.
    const bool same_type = value.type == declared.type || (is_float(value.type) && is_float(declared.type));
    if (!same_type || value.shape != declared.shape) {
      throw Error(
          ErrorKind::kBadInput, place,
          "is " + describe(value.type, value.shape) + " when it should be " + describe(declared.type, declared.shape));
    }
    if (!is_held_as(value, value.type) || static_cast<std::int64_t>(value.held()) != declared.elements()) {
      throw Error(ErrorKind::kBadInput, place,
                  "holds " + std::to_string(value.held()) + " elements for " + describe(value.type, value.shape));
    }
  }
}

/// What is done so far, in nodes and in operations.
class Work {
 public:
  Work() = default;
  explicit Work(const Graph& graph) : operations_(graph.nodes.size(), 0) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (node.folded) continue;
      ++state_.nodes;
      operations_[i] = operations_of(graph, node);
      state_.operations += operations_[i];
    }
  }

  [[nodiscard]] ExecuteProgress after(NodeId node) {
    ++state_.nodes_done;
    state_.operations_done += operations_[static_cast<std::size_t>(node)];
    return state_;
  }

 private:
  /// Two a multiplication of a product; one an element of anything else.
  static std::int64_t operations_of(const Graph& graph, const Node& node) {
    const OpDef& def = operator_of(node);
    if (node.outputs.empty() || node.outputs[0] == kNone || graph.output(node).shape.size() > kMaxRank) return 0;
    if (graph.output(node).dynamic) return 0;
    const Box out = whole(graph.output(node).shape);
    if (def.matrix_shape == nullptr) return out.elements();
    const configs::MatrixShape shape = def.matrix_shape(graph, node, out);
    return 2 * shape.batch * shape.m * shape.n * shape.k;
  }

  std::vector<std::int64_t> operations_;
  ExecuteProgress state_;
};

class Executor {
 public:
  /// `segments`: chains of operators may run in pieces, so that what lies within them never exists whole.
  Executor(const Graph& graph, const std::vector<std::string>& keep, const ExecuteOptions& options, bool segments)
      : shapes_(graph),
        graph_(shapes_.graph()),
        options_(options),
        sums_(options.double_sums ? compute::Sums::kDouble : compute::Sums::kFloat),
        pool_(options.buffers != nullptr ? options.buffers : std::make_shared<BufferPool>()),
        values_(graph.tensors.size()),
        uses_left_(graph.tensors.size(), 0) {
    for (const Node& node : graph.nodes) {
      if (node.folded) continue;
      for (const TensorId id : node.inputs) {
        if (id != kNone) ++uses_left_[id];
      }
    }
    kept_.insert(graph.outputs.begin(), graph.outputs.end());
    for (const std::string& name : keep) {
      const TensorId id = graph.find_tensor(name);
      if (id == kNone) {
        std::vector<std::string> names;
        for (const Tensor& tensor : graph.tensors) names.push_back(tensor.name);
        const std::string nearest = nearest_name(name, names);
        throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .tensor = name}, "is not a tensor of the graph",
                    nearest.empty() ? "" : "did you mean '" + nearest + "'?");
      }
      kept_.insert(id);
    }
    for (const TensorId id : kept_) ++uses_left_[id];
    if (options.non_finite) watch_.emplace(graph_, options.non_finite);
    // Inside a segment there are no whole tensors to be seen.
    if (!graph_.has_dynamic_shapes() && !options.observe && segments) segments_.emplace(graph_, kept_);
  }

  TensorMap run(const TensorMap& inputs) {
    for (const TensorId id : graph_.inputs) {
      const Tensor& declared = graph_.tensors[id];
      if (uses_left_[id] == 0) continue;
      HostTensor value = inputs.at(declared.name);
      if (is_float(declared.type)) value = held_as(std::move(value), declared.type);
      values_[id] = value_of(std::move(value));
      if (watch_) watch_->input(id, *values_[id]);
      observe(id);
    }
    Work work;
    if (options_.progress) work = Work(graph_);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (node.folded) continue;
      try {
        run_step(static_cast<NodeId>(i));
        if (watch_) watch_->after(node, values_);
        for (const TensorId id : node.outputs) observe(id);
      } catch (const Error& error) {
        throw error.within(Place{.file = graph_.source, .node = node.name});
      }
      if (options_.progress) options_.progress(work.after(static_cast<NodeId>(i)));
    }
    TensorMap results;
    for (const TensorId id : kept_) results[graph_.tensors[id].name] = *host_of(existing(id));
    return results;
  }

 private:
  void observe(TensorId id) {
    if (!options_.observe || id == kNone || uses_left_[id] == 0 || !is_float(graph_.tensors[id].type)) return;
    const Value& value = existing(id);
    if (value.is_view() && compute::is_dense(whole(value.shape), value.stride)) {
      return options_.observe(id, value.shape, {value.data, static_cast<std::size_t>(elements_of(value.shape))});
    }
    const auto host = host_of(value);
    if (host->holds_float()) options_.observe(id, host->shape, host->floats());
  }

  /// A node, or where a segment ends, all of it.
  void run_step(NodeId id) {
    const Segment* segment = segments_ ? segments_->of(id) : nullptr;
    if (segment == nullptr) return run_node(graph_.nodes[id]);
    if (segment->nodes.back() != id) return;
    if (run_together(*segment)) return;
    for (const NodeId node : segment->nodes) run_node(graph_.nodes[node]);
  }

  bool run_together(const Segment& segment) {
    views_.resize(graph_.tensors.size());
    const Value* reused = nullptr;
    const Node& last = graph_.nodes[segment.nodes.back()];
    const Tensor& out = graph_.output(last);
    for (const NodeId id : segment.nodes) {
      const Node& node = graph_.nodes[id];
      if (graph_.output(node).shape.empty() || graph_.output(node).elements() == 0) return false;  // nothing to cut
      for (const TensorId input : node.inputs) {
        if (input == kNone || is_inside(segment, input)) continue;
        const Value& value = existing(input);
        if (!value.is_view()) return false;
        views_[input] = value.view();
      }
    }
    // An element-wise segment reads every element of a tensor before it writes the one in its place, unless a node
    // reads it late: only what the last node alone reads may be overwritten.
    // A product's sums go through the output before anything is added.
    if (operator_of(last).op_class == OpClass::kElementwise && !segment.is_product) {
      reused = overwritable(operator_of(last), last);
    }
    const Box box = whole(out.shape);
    StridedView to{box, nullptr, compute::dense_strides(box)};
    const Value result = output_value(out, reused, to);
    run_segment(graph_, segment, views_, to, sums_);
    for (const NodeId id : segment.nodes) {
      for (const TensorId input : graph_.nodes[id].inputs) {
        if (input != kNone && --uses_left_[input] == 0) values_[input].reset();
      }
    }
    if (uses_left_[last.outputs[0]] > 0) values_[last.outputs[0]] = result;
    return true;
  }

  [[nodiscard]] bool is_inside(const Segment& segment, TensorId tensor) const {
    const NodeId producer = graph_.tensors[tensor].producer;
    return producer != kNone && std::binary_search(segment.nodes.begin(), segment.nodes.end(), producer);
  }

  /// A new buffer, or that of `reused`; `to` is where its elements go.
  Value output_value(const Tensor& out, const Value* reused, StridedView& to) {
    Value result;
    if (reused != nullptr) {
      result = *reused;
      result.host = nullptr;
    } else {
      const std::shared_ptr<float> buffer = pool_->take(out.elements());
      result.owner = buffer;
      result.writable = buffer.get();
      result.stride = to.stride;
    }
    to.data = result.writable;
    to.stride = result.stride;
    result.data = result.writable;
    result.type = out.type;
    result.shape = out.shape;
    return result;
  }

  void run_node(const Node& node) {
    if (shapes_.is_static(node)) {
      if (rename(node)) return release_inputs(node);
      if (run_strided(node)) return;
    }
    const OpDef& def = operator_of(node);
    std::vector<std::shared_ptr<const HostTensor>> held;
    std::vector<const HostTensor*> inputs;
    for (const TensorId id : node.inputs) {
      held.push_back(id == kNone ? nullptr : host_of(existing(id)));
      inputs.push_back(held.back().get());
    }
    const RuntimeShapes::Inferred inferred(shapes_, node, inputs);
    std::vector<HostTensor> results = evaluate_node(def, graph_, node, inputs);
    release_inputs(node);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const TensorId id = node.outputs[i];
      if (id == kNone || uses_left_[id] == 0) continue;
      const Tensor& declared = graph_.tensors[id];
      if (i >= results.size() || results[i].shape != declared.shape || !is_held_as(results[i], declared.type)) {
        internal_error("node '" + node.name + "' (" + node.op + ") computed something else than was inferred for '" +
                       declared.name + "'");
      }
      values_[id] = value_of(std::move(results[i]));
    }
  }

  /// Views of the input: nothing is computed.
  bool rename(const Node& node) {
    if (node.inputs.empty() || node.inputs[0] == kNone || node.outputs.size() != 1 || node.outputs[0] == kNone) {
      return false;
    }
    Value result = renamed(graph_, node, existing(node.inputs[0]));
    if (!result.exists()) return false;
    values_[node.outputs[0]] = std::move(result);
    return true;
  }

  /// Kernels that take and make views, on all cores.
  bool run_strided(const Node& node) {
    const OpDef& def = operator_of(node);
    if (def.kernel == nullptr || node.outputs.empty() || node.outputs[0] == kNone) return false;
    for (std::size_t i = 1; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != kNone && uses_left_[node.outputs[i]] > 0) return false;
    }
    const Tensor& out = graph_.output(node);
    if (!is_float(out.type) || out.type == DataType::kFloat64 || out.shape.size() > kMaxRank) return false;
    std::vector<ConstStridedView> views;
    std::vector<std::vector<float>> converted;
    for (const TensorId id : node.inputs) {
      if (id == kNone) {
        views.emplace_back();
        continue;
      }
      const Value& value = existing(id);
      if (value.is_view()) {
        views.push_back(value.view());
        continue;
      }
      // Indices and the like, which kernels take as floats; element-wise operators may mean integer arithmetic.
      if (def.op_class == OpClass::kElementwise || !exact_as_floats(*value.host)) return false;
      const auto& ints = value.host->ints();
      converted.emplace_back(ints.begin(), ints.end());
      const Box box = whole(value.shape);
      views.push_back({box, converted.back().data(), compute::dense_strides(box)});
    }
    if (def.strided == nullptr && !cuts_into_pieces(def, views)) return false;
    const Box box = whole(out.shape);
    StridedView to{box, nullptr, compute::dense_strides(box)};
    Value result = output_value(out, overwritable(def, node), to);
    if (def.strided != nullptr) {
      def.strided(graph_, node, views, to, sums_);
    } else {
      run_in_pieces(def, node, views, to);
    }
    release_inputs(node);
    if (uses_left_[node.outputs[0]] > 0) values_[node.outputs[0]] = std::move(result);
    return true;
  }

  static bool exact_as_floats(const HostTensor& tensor) {
    constexpr std::int64_t kExact = std::int64_t{1} << 24;
    return tensor.holds_integer() && tensor.shape.size() <= kMaxRank &&
           std::all_of(tensor.ints().begin(), tensor.ints().end(),
                       [](std::int64_t v) { return v >= -kExact && v <= kExact; });
  }

  /// Kernels on dense regions run on pieces of the output at the same time.
  static bool cuts_into_pieces(const OpDef& def, const std::vector<ConstStridedView>& views) {
    if (def.region == nullptr || def.op_class == OpClass::kShape || def.op_class == OpClass::kElementwise) return false;
    return std::all_of(views.begin(), views.end(), [](const ConstStridedView& view) {
      return view.data == nullptr || compute::is_dense(view.box, view.stride);
    });
  }

  void run_in_pieces(const OpDef& def, const Node& node, const std::vector<ConstStridedView>& views,
                     const StridedView& out) {
    std::vector<ConstRegionView> inputs;
    for (const ConstStridedView& view : views) inputs.push_back({view.box, view.data});
    // Leading dimensions are cut until there are enough pieces; each piece is a stretch of the output.
    constexpr std::int64_t kPieces = 64, kLeast = 4096;
    std::int64_t pieces = 1, length = out.box.elements();
    int cut = 0;
    while (cut < out.box.rank && pieces < kPieces && length / std::max(out.box.extent[cut], 1) >= kLeast) {
      pieces *= out.box.extent[cut];
      length /= std::max(out.box.extent[cut], 1);
      ++cut;
    }
    compute::parallel_for(pieces, [&](std::int64_t i) {
      RegionView piece{out.box, out.data + i * length};
      std::int64_t rest = i;
      for (int d = cut - 1; d >= 0; --d) {
        piece.box.set(d, static_cast<std::int32_t>(rest % out.box.extent[d]), 1);
        rest /= out.box.extent[d];
      }
      def.kernel(graph_, node, inputs, piece);
    });
  }

  /// An input that nobody reads after this node and whose elements answer those of the output one by one.
  const Value* overwritable(const OpDef& def, const Node& node) {
    const bool by_element = def.op_class == OpClass::kElementwise || node.op == "Softmax";
    if (!by_element || def.strided == nullptr) return nullptr;
    for (const TensorId id : node.inputs) {
      if (id == kNone || uses_left_[id] != 1 || !values_[id]) continue;
      const Value& value = *values_[id];
      if (value.writable == nullptr || value.owner.use_count() != 1 || value.shape != graph_.output(node).shape)
        continue;
      return &value;
    }
    return nullptr;
  }

  void release_inputs(const Node& node) {
    for (const TensorId id : node.inputs) {
      if (id != kNone && --uses_left_[id] == 0) values_[id].reset();
    }
  }

  /// Computed, given, or a constant that is read on first use.
  const Value& existing(TensorId id) {
    std::optional<Value>& value = values_[id];
    if (!value) {
      if (!graph_.tensors[id].is_constant()) {
        internal_error("tensor '" + graph_.tensors[id].name + "' is read before anything computes it");
      }
      value = constant_value(graph_.tensors[id]);
    }
    return *value;
  }

  RuntimeShapes shapes_;
  const Graph& graph_;
  const ExecuteOptions& options_;
  compute::Sums sums_;
  std::optional<Segments> segments_;  ///< empty where shapes depend on data
  std::shared_ptr<BufferPool> pool_;
  std::vector<std::optional<Value>> values_;  ///< by TensorId; empty before it exists and after its last use
  std::vector<ConstStridedView> views_;       ///< of what a segment reads, by TensorId
  std::vector<std::int64_t> uses_left_;       ///< reads by nodes to come, and one if kept
  std::set<TensorId> kept_;
  std::optional<FiniteWatch> watch_;
};

}  // namespace

TensorMap execute(const Graph& graph, const TensorMap& inputs, const std::vector<std::string>& keep,
                  const ExecuteOptions& options) {
  check_inputs(graph, inputs);
  if (!options.non_finite) return Executor(graph, keep, options, true).run(inputs);
  // Within a segment nobody sees which operator began it: only where something is not finite, all is run again, singly.
  bool seen = false;
  {
    ExecuteOptions looking = options;
    looking.non_finite = [&](const NonFinite&) { seen = true; };
    TensorMap results = Executor(graph, keep, looking, true).run(inputs);
    if (!seen) return results;
  }
  ExecuteOptions telling = options;
  telling.progress = {};
  return Executor(graph, keep, telling, false).run(inputs);
}

}  // namespace spillway::workloads
