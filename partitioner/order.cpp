#include "partitioner/order.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "configs/error.h"

namespace spillway::partitioner {

namespace {

/// Whether a row of a node's result needs all of input `i`: then the input must be complete before the node starts.
bool waits_for_all(const Model& model, NodeId id, int i) {
  const Node& node = model.graph.nodes[id];
  if (model.op(id).op_class == workloads::OpClass::kStatistics) return false;  // gathered tile by tile
  // A product's second operand (keys and values) may be made within the group, a batch or head at a time.
  if (node.op == "MatMul" && i == 1) return false;
  const workloads::Tensor& out = model.graph.output(node);
  const workloads::Tensor& in = model.graph.input(node, i);
  const TensorView& view = model.layout.views[node.outputs[0]];
  const int rank = static_cast<int>(out.shape.size());
  const Storage& storage = model.layout.storages[view.storage];
  int channel = kNone;
  for (int d = 0; d < rank; ++d) {
    for (const FactorRef& ref : view.dims[d]) {
      if (ref.factor == storage.rank - 1) channel = d;
    }
  }
  if (node.op == "MatMul") channel = rank - 1;
  Box box = workloads::whole(out.shape);
  int rows = kNone;
  for (int d = rank >= 3 ? 1 : 0; d < rank; ++d) {
    if (d != channel && (rows == kNone || box.extent[d] > box.extent[rows])) rows = d;
  }
  if (rows == kNone || box.extent[rows] == 1) return false;
  box.set(rows, 0, 1);
  const Box needed = model.op(id).region(model.graph, node, i, box);
  const Box all = workloads::whole(in.shape);
  return needed.elements() == all.elements();
}

class Sorter {
 public:
  Sorter(const Model& model, bool joined) : model_(model), primitives_(partitioner::primitives(model)) {
    if (joined) join_chains();
    const std::size_t storages = model.layout.storages.size();
    position_.assign(model.graph.nodes.size(), kNone);
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      for (const NodeId n : primitives_[p]) position_[n] = static_cast<int>(p);
    }
    maker_.assign(storages, kNone);
    for (const NodeId n : model.executed) {
      if (position_[n] != kNone) maker_[model.output_of(n)] = position_[n];
    }
    edges_.resize(primitives_.size());
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      for (const NodeId n : primitives_[p]) {
        const Node& node = model.graph.nodes[n];
        for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
          if (node.inputs[i] != kNone) connect(model.storage_of(node.inputs[i]), static_cast<int>(p), n, i);
        }
      }
    }
    find_levels();
  }

  Sequence run() {
    std::vector<int> order(primitives_.size());
    for (std::size_t p = 0; p < order.size(); ++p) order[p] = static_cast<int>(p);
    // Within a level the short stretches first, so that they do not interrupt the long one.
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return level_[a] != level_[b] ? level_[a] > level_[b] : depth_[a] < depth_[b];
    });
    done_.assign(primitives_.size(), false);
    made_.resize(primitives_.size());
    for (std::size_t p = 0; p < edges_.size(); ++p) {
      for (const Edge& e : edges_[p]) {
        if (e.from != kNone) made_[e.from][e.storage].push_back(static_cast<int>(p));
      }
    }
    std::vector<int> place;
    for (const int p : order) {
      if (!feeds_own_level_[p]) visit(p, place);
    }
    Sequence result;
    std::vector<int> now(primitives_.size());
    for (std::size_t k = 0; k < place.size(); ++k) {
      now[place[k]] = static_cast<int>(k);
      result.primitives.push_back(primitives_[place[k]]);
      result.level.push_back(level_[place[k]]);
    }
    result.maker = maker_;
    for (int& m : result.maker) m = m == kNone ? kNone : now[m];
    result.readers.resize(maker_.size());
    for (std::size_t p = 0; p < edges_.size(); ++p) {
      for (const Edge& e : edges_[p]) result.readers[e.storage].push_back(now[p]);
    }
    for (auto& readers : result.readers) {
      std::sort(readers.begin(), readers.end());
      readers.erase(std::unique(readers.begin(), readers.end()), readers.end());
    }
    find_skips(now, result);
    return result;
  }

 private:
  /// What follows a producer in the same registers (a residual addition, an activation, the statistics of what has been
  /// made) costs nothing more there and a round trip anywhere else: it joins the primitive.
  void join_chains() {
    std::vector<int> home(model_.graph.nodes.size(), kNone);
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      for (const NodeId n : primitives_[p]) home[n] = static_cast<int>(p);
    }
    std::vector<std::size_t> stages(primitives_.size(), 0);
    const std::vector<int> depth = depths();
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      const NodeId first = primitives_[p][0];
      const auto op_class = model_.op(first).op_class;
      const bool statistics = op_class == workloads::OpClass::kStatistics;
      if (!statistics && op_class != workloads::OpClass::kElementwise) continue;
      const Node& node = model_.graph.nodes[first];
      std::vector<NodeId> producers;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNone || (statistics && i > 0)) continue;
        const StorageId s = model_.storage_of(node.inputs[i]);
        const NodeId producer = model_.producer[s];
        if (producer == kNone || model_.is_virtual(producer)) continue;
        const int a = home[producer];
        if (a == static_cast<int>(p) || (!statistics && !only_reader(s, p, home))) continue;
        if (!depends_elsewhere(static_cast<int>(p), a, home)) producers.push_back(producer);
      }
      if (producers.empty()) continue;
      // Where two results meet, the one that is made last adds the other. A short branch beside a long one either runs
      // first, and its result waits, or last, and what it reads waits: whichever is less.
      NodeId host = producers[0];
      for (const NodeId other : producers) {
        const Bytes as_it_is = waiting(host, other, depth);
        const Bytes instead = waiting(other, host, depth);
        if (instead < as_it_is || (instead == as_it_is && home[other] > home[host])) host = other;
      }
      const int best = home[host];
      Nodes both = primitives_[best];
      both.insert(both.end(), primitives_[p].begin(), primitives_[p].end());
      std::sort(both.begin(), both.end());
      if (stages[best] == 0) stages[best] = make_group(model_, with_virtual(model_, primitives_[best])).stages.size();
      const GroupModel joined = make_group(model_, with_virtual(model_, both));
      if (!joined.ok() || joined.stages.size() != stages[best]) continue;
      for (const NodeId n : primitives_[p]) home[n] = best;
      primitives_[best] = std::move(both);
      primitives_[p].clear();
    }
    // A joined primitive stands where its last node stood, so that all it reads comes before it.
    std::vector<Nodes> joined;
    for (Nodes& nodes : primitives_) {
      if (!nodes.empty()) joined.push_back(std::move(nodes));
    }
    primitives_ = std::move(joined);
    sort_by_dependence();
  }

  /// By node: operators on the longest way to it.
  std::vector<int> depths() const {
    std::vector<int> depth(model_.graph.nodes.size(), 0);
    for (std::size_t n = 0; n < depth.size(); ++n) {
      for (const TensorId t : model_.graph.nodes[n].inputs) {
        const NodeId producer = t == kNone ? kNone : model_.graph.tensors[t].producer;
        if (producer != kNone) depth[n] = std::max(depth[n], depth[producer] + 1);
      }
    }
    return depth;
  }

  /// Bytes that wait for the longer of two branches if `last` is made after `first`.
  Bytes waiting(NodeId last, NodeId first, const std::vector<int>& depth) const {
    const auto bytes = [&](StorageId s) { return model_.layout.storages[s].bytes(); };
    if (depth[last] >= depth[first]) return bytes(model_.output_of(first));
    Bytes sum = 0;
    for (const NodeId n : with_virtual(model_, {last})) {
      for (const TensorId t : model_.graph.nodes[n].inputs) {
        const NodeId producer = t == kNone ? kNone : model_.producer[model_.storage_of(t)];
        if (producer != kNone && !model_.is_virtual(producer)) sum += bytes(model_.storage_of(t));
      }
    }
    return sum;
  }

  /// Nobody but `p`, and statistics, reads the storage.
  bool only_reader(StorageId s, std::size_t p, const std::vector<int>& home) const {
    if (model_.layout.storages[s].is_output) return false;
    return std::all_of(model_.readers[s].begin(), model_.readers[s].end(), [&](NodeId n) {
      return home[n] == static_cast<int>(p) ||
             (home[n] != kNone && model_.op(n).op_class == workloads::OpClass::kStatistics);
    });
  }

  /// Whether something that `p` reads, other than straight from `a`, depends on `a`.
  bool depends_elsewhere(int p, int a, const std::vector<int>& home) const {
    std::vector<int> stack;
    std::vector<int> seen;
    const auto push = [&](int from) {
      for (const NodeId n : with_virtual(model_, primitives_[from])) {
        for (const TensorId t : model_.graph.nodes[n].inputs) {
          if (t == kNone) continue;
          const NodeId producer = model_.producer[model_.storage_of(t)];
          if (producer == kNone || home[producer] == kNone) continue;
          const int q = home[producer];
          if (q == from || (from == p && q == a) || std::find(seen.begin(), seen.end(), q) != seen.end()) continue;
          seen.push_back(q);
          stack.push_back(q);
        }
      }
    };
    push(p);
    while (!stack.empty()) {
      const int q = stack.back();
      stack.pop_back();
      if (q == a) return true;
      // What ends before `a` begins cannot depend on it.
      if (primitives_[q].back() > primitives_[a].front()) push(q);
    }
    return false;
  }

  void sort_by_dependence() {
    std::vector<int> home(model_.graph.nodes.size(), kNone);
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      for (const NodeId n : primitives_[p]) home[n] = static_cast<int>(p);
    }
    std::vector<std::vector<int>> next(primitives_.size());
    std::vector<int> waits(primitives_.size(), 0);
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      std::vector<int> sources;
      for (const NodeId n : with_virtual(model_, primitives_[p])) {
        for (const TensorId t : model_.graph.nodes[n].inputs) {
          const NodeId producer = t == kNone ? kNone : model_.producer[model_.storage_of(t)];
          if (producer == kNone || home[producer] == kNone || home[producer] == static_cast<int>(p)) continue;
          sources.push_back(home[producer]);
        }
      }
      std::sort(sources.begin(), sources.end());
      sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
      for (const int q : sources) next[q].push_back(static_cast<int>(p)), ++waits[p];
    }
    std::set<int> ready;
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      if (waits[p] == 0) ready.insert(static_cast<int>(p));
    }
    std::vector<Nodes> sorted;
    while (!ready.empty()) {
      const int p = *ready.begin();
      ready.erase(ready.begin());
      sorted.push_back(primitives_[p]);
      for (const int q : next[p]) {
        if (--waits[q] == 0) ready.insert(q);
      }
    }
    if (sorted.size() != primitives_.size()) internal_error("joined primitives wait for each other");
    primitives_ = std::move(sorted);
  }

  void find_skips(const std::vector<int>& now, Sequence& result) const {
    std::vector<std::vector<int>> sources(primitives_.size());
    for (std::size_t p = 0; p < edges_.size(); ++p) {
      for (const Edge& e : edges_[p]) {
        if (e.from != kNone) sources[now[p]].push_back(now[e.from]);
      }
    }
    result.skip.assign(maker_.size(), false);
    std::vector<char> depends(primitives_.size());
    for (std::size_t s = 0; s < maker_.size(); ++s) {
      const auto& readers = result.readers[s];
      if (result.maker[s] == kNone || readers.size() < 2) continue;
      const auto statistics = [&](int p) {
        return std::all_of(result.primitives[p].begin(), result.primitives[p].end(),
                           [&](NodeId n) { return model_.op(n).op_class == workloads::OpClass::kStatistics; });
      };
      std::fill(depends.begin() + readers.front(), depends.begin() + readers.back() + 1, 0);
      for (int p = readers.front(); p <= readers.back() && !result.skip[s]; ++p) {
        bool after = false;
        for (const int source : sources[p]) after |= source >= readers.front() && depends[source] != 0;
        const bool reads = std::binary_search(readers.begin(), readers.end(), p);
        result.skip[s] = reads && after;
        depends[p] = after || (reads && !statistics(p)) ? 1 : 0;
      }
    }
  }

  struct Edge {
    StorageId storage = kNone;
    int from = kNone;  ///< kNone for inputs and constants
    bool barrier = false;
  };

  void connect(StorageId storage, int reader, NodeId node, int input) {
    const NodeId producer = model_.producer[storage];
    if (producer != kNone && model_.is_virtual(producer)) {
      for (const TensorId t : model_.graph.nodes[producer].inputs) {
        if (t != kNone) connect(model_.storage_of(t), reader, node, input);
      }
      return;
    }
    const int from = producer == kNone ? kNone : position_[producer];
    if (from == reader) return;
    edges_[reader].push_back({storage, from, from != kNone && waits_for_all(model_, node, input)});
  }

  void find_levels() {
    level_.assign(primitives_.size(), 0);
    feeds_own_level_.assign(primitives_.size(), false);
    for (std::size_t p = primitives_.size(); p-- > 0;) {
      for (const Edge& e : edges_[p]) {
        if (e.from != kNone) level_[e.from] = std::max(level_[e.from], level_[p] + (e.barrier ? 1 : 0));
      }
    }
    hoist();
    depth_.assign(primitives_.size(), 1);
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      for (const Edge& e : edges_[p]) {
        if (e.from == kNone || level_[e.from] != level_[p]) continue;
        depth_[p] = std::max(depth_[p], depth_[e.from] + 1);
        feeds_own_level_[e.from] = true;
      }
    }
  }

  /// What makes little out of much (the shortcut convolution over a Concat) runs as soon as it can, so that its result
  /// waits for those who read it and not all that it reads.
  void hoist() {
    for (std::size_t p = 0; p < primitives_.size(); ++p) {
      int soonest = std::numeric_limits<int>::max();
      std::set<StorageId> inputs;
      for (const Edge& e : edges_[p]) {
        if (e.from == kNone) continue;
        soonest = std::min(soonest, level_[e.from] - (e.barrier ? 1 : 0));
        inputs.insert(e.storage);
      }
      Bytes read = 0;
      for (const StorageId s : inputs) read += model_.layout.storages[s].bytes();
      Bytes made = 0;
      for (const NodeId n : primitives_[p]) {
        if (maker_[model_.output_of(n)] == static_cast<int>(p))
          made += model_.layout.storages[model_.output_of(n)].bytes();
      }
      if (read > 0 && soonest > level_[p] && made > kTiny && made < read) level_[p] = soonest;
    }
  }

  /// Bytes that wait for others once what `edge` reads has been made: itself, and whatever else its making leaves
  /// behind (a small result may hang on much that somebody else reads too: the share of a block of keys on all scores).
  Bytes left_behind(int made) const {
    std::vector<int> cone{made};
    std::vector<bool> inside(primitives_.size(), false);
    inside[made] = true;
    for (std::size_t i = 0; i < cone.size(); ++i) {
      for (const Edge& e : edges_[cone[i]]) {
        if (e.from == kNone || done_[e.from] || level_[e.from] != level_[made] || inside[e.from]) continue;
        inside[e.from] = true;
        cone.push_back(e.from);
      }
    }
    Bytes bytes = 0;
    for (const int p : cone) {
      for (const auto& [storage, readers] : made_[p]) {
        const bool waits = std::any_of(readers.begin(), readers.end(), [&](int reader) { return !inside[reader]; });
        if (waits) bytes += model_.layout.storages[storage].bytes();
      }
    }
    return bytes;
  }

  /// What it reads first, that which leaves least behind and is shortest to make first: the stretch that carries most
  /// comes last and runs on into `p`.
  void visit(int p, std::vector<int>& place) {
    if (done_[p]) return;
    done_[p] = true;
    struct Source {
      int depth, from;
      Bytes left;
    };
    std::vector<Source> sources;
    for (const Edge& e : edges_[p]) {
      if (e.from != kNone && level_[e.from] == level_[p] && !done_[e.from]) {
        sources.push_back({depth_[e.from], e.from, 0});
      }
    }
    if (sources.size() > 1) {
      for (Source& source : sources) source.left = left_behind(source.from);
    }
    std::stable_sort(sources.begin(), sources.end(), [](const Source& a, const Source& b) {
      return a.left != b.left ? a.left < b.left : a.depth < b.depth;
    });
    for (const Source& source : sources) visit(source.from, place);
    place.push_back(p);
  }

  const Model& model_;
  std::vector<Nodes> primitives_;
  std::vector<int> position_;  // by node: primitive
  std::vector<int> maker_;     // by storage: primitive
  std::vector<std::vector<Edge>> edges_;
  std::vector<std::map<StorageId, std::vector<int>>> made_;  // by primitive: who reads each storage that it makes
  std::vector<int> level_, depth_;
  std::vector<bool> feeds_own_level_, done_;
};

}  // namespace

Sequence sequence(const Model& model, bool joined) { return Sorter(model, joined).run(); }

}  // namespace spillway::partitioner
