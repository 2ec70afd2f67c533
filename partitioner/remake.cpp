#include "partitioner/remake.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>
#include <cmath>
#include <map>

#include "configs/timing.h"

namespace spillway::partitioner {

namespace {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using FlowGraph = boost::adjacency_list<
    boost::vecS, boost::vecS, boost::directedS,
    boost::property<
        boost::vertex_index_t, long,
        boost::property<boost::vertex_color_t, boost::default_color_type,
                        boost::property<boost::vertex_distance_t, long,
                                        boost::property<boost::vertex_predecessor_t, Traits::edge_descriptor>>>>,
    boost::property<boost::edge_capacity_t, std::int64_t,
                    boost::property<boost::edge_residual_capacity_t, std::int64_t,
                                    boost::property<boost::edge_reverse_t, Traits::edge_descriptor>>>>;

constexpr std::int64_t kInfinite = std::int64_t{1} << 50;
constexpr int kDepth = 24;  // primitives that a remake may look back over

class Cutter {
 public:
  Cutter(const Model& model, const Sequence& sequence, const std::function<bool(StorageId)>& there)
      : model_(model), sequence_(sequence), there_(there) {}

  std::optional<Remake> run(StorageId target) {
    gather(target);
    const std::size_t n = storages_.size();
    // Vertices: for each storage "made again" (2k) and "needed" (2k + 1); then source and sink.
    graph_ = FlowGraph(2 * n + 2);
    const std::size_t source = 2 * n;
    const std::size_t sink = source + 1;
    for (std::size_t k = 0; k < n; ++k) {
      const StorageId s = storages_[k];
      const int p = sequence_.maker[s];
      const bool open = inside_[k];
      // Needed and not made again: it is read.
      const bool readable = s != target && (!there_ || there_(s));
      connect(2 * k + 1, 2 * k, readable ? load_cycles(s) : kInfinite);
      connect(2 * k, sink, open ? std::max<Cycles>(1, cycles_of(p)) : kInfinite);
      if (!open) continue;
      for (const StorageId input : inputs_of(p)) connect(2 * k, 2 * index_.at(input) + 1, kInfinite);
    }
    connect(source, 2 * index_.at(target) + 1, kInfinite);
    const std::int64_t flow = boost::boykov_kolmogorov_max_flow(graph_, source, sink);
    if (flow >= kInfinite) return std::nullopt;
    const auto color = boost::get(boost::vertex_color, graph_);
    const auto black = boost::color_traits<boost::default_color_type>::black();
    Remake result;
    for (std::size_t k = 0; k < n; ++k) {
      const bool made = color[2 * k] == black;
      const bool needed = color[2 * k + 1] == black;
      if (made) {
        const int p = sequence_.maker[storages_[k]];
        result.primitives.push_back(p);
        result.cycles += cycles_of(p);
        result.macs += macs_of(p);
        result.weights += weights_of(p);
      } else if (needed) {
        result.frontier.push_back(storages_[k]);
      }
    }
    std::sort(result.primitives.begin(), result.primitives.end());
    result.primitives.erase(std::unique(result.primitives.begin(), result.primitives.end()), result.primitives.end());
    if (result.primitives.empty()) return std::nullopt;
    return result;
  }

 private:
  /// Computed storages and graph inputs that a primitive reads; constants are always at hand.
  std::vector<StorageId> inputs_of(int p) const {
    std::vector<StorageId> inputs;
    for (const NodeId n : with_virtual(model_, sequence_.primitives[p])) {
      if (statistics(n)) continue;
      for (const TensorId t : model_.graph.nodes[n].inputs) {
        if (t == kNone) continue;
        const StorageId s = model_.storage_of(t);
        const NodeId producer = model_.producer[s];
        if (producer != kNone && model_.is_virtual(producer)) continue;
        if (producer != kNone && sequence_.maker[s] == p) continue;
        if (producer == kNone && model_.graph.tensors[model_.layout.storages[s].root].is_constant()) continue;
        if (std::find(inputs.begin(), inputs.end(), s) == inputs.end()) inputs.push_back(s);
      }
    }
    return inputs;
  }

  /// Statistics of what is made are there from the first time.
  bool statistics(NodeId n) const { return model_.op(n).op_class == workloads::OpClass::kStatistics; }

  void gather(StorageId target) {
    storages_ = {target};
    index_[target] = 0;
    inside_ = {true};
    for (std::size_t k = 0; k < storages_.size(); ++k) {
      if (!inside_[k]) continue;
      for (const StorageId input : inputs_of(sequence_.maker[storages_[k]])) {
        if (!index_.try_emplace(input, storages_.size()).second) continue;
        const int p = sequence_.maker[input];
        storages_.push_back(input);
        // Statistics are kept, they are tiny; a primitive of several results is not split.
        const bool tiny = model_.layout.storages[input].storage_class == StorageClass::kStatistics;
        inside_.push_back(p != kNone && !tiny && static_cast<int>(storages_.size()) < kDepth);
      }
    }
  }

  std::int64_t macs_of(int p) const {
    std::int64_t macs = 0;
    for (const NodeId n : sequence_.primitives[p]) macs += model_.macs(n);
    return macs;
  }

  Bytes weights_of(int p) const {
    Bytes bytes = 0;
    for (const NodeId n : sequence_.primitives[p]) {
      for (const TensorId t : model_.graph.nodes[n].inputs) {
        if (t != kNone && is_constant(model_.graph, model_.layout, t)) {
          bytes += model_.layout.storages[model_.storage_of(t)].bytes();
        }
      }
    }
    return bytes;
  }

  Cycles cycles_of(int p) const {
    const auto& npu = model_.npu;
    double matrix = 0;
    double vector = 0;
    for (const NodeId n : sequence_.primitives[p]) {
      const auto& op = model_.op(n);
      const Node& node = model_.graph.nodes[n];
      const Box whole = workloads::whole(model_.graph.output(node).shape);
      if (op.matrix_shape != nullptr) {
        const auto cycles =
            configs::matrix_cycles(npu.matrix, op.matrix_shape(model_.graph, node, whole), model_.operand_formats(n));
        matrix += static_cast<double>(cycles.total()) / npu.matrix.count;
      }
      if (op.vector_work != nullptr && !statistics(n)) {
        vector +=
            static_cast<double>(configs::vector_cycles(npu, op.vector_work(model_.graph, node, whole), 0).total()) /
            npu.vector.count;
      }
    }
    return static_cast<Cycles>(std::max(matrix, vector));
  }

  Cycles load_cycles(StorageId s) const {
    const double cycles = static_cast<double>(model_.layout.storages[s].bytes()) / model_.npu.dram_bytes_per_cycle();
    return std::max<Cycles>(1, static_cast<Cycles>(cycles));
  }

  void connect(std::size_t from, std::size_t to, std::int64_t capacity) {
    auto capacities = boost::get(boost::edge_capacity, graph_);
    auto reverse = boost::get(boost::edge_reverse, graph_);
    const auto forth = boost::add_edge(from, to, graph_).first;
    const auto back = boost::add_edge(to, from, graph_).first;
    capacities[forth] = capacity;
    capacities[back] = 0;
    reverse[forth] = back;
    reverse[back] = forth;
  }

  const Model& model_;
  const Sequence& sequence_;
  const std::function<bool(StorageId)>& there_;
  std::vector<StorageId> storages_;
  std::map<StorageId, std::size_t> index_;
  std::vector<bool> inside_;
  FlowGraph graph_;
};

}  // namespace

std::optional<Remake> remake(const Model& model, const Sequence& sequence, StorageId storage,
                             const std::function<bool(StorageId)>& there) {
  if (sequence.maker[storage] == kNone) return std::nullopt;
  return Cutter(model, sequence, there).run(storage);
}

}  // namespace spillway::partitioner
