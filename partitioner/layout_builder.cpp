#include "partitioner/layout_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "configs/error.h"

namespace spillway::partitioner {

using workloads::DataType;
using workloads::find_operator;
using workloads::OpClass;
using workloads::OpDef;
using workloads::Tensor;

LayoutBuilder::LayoutBuilder(const Graph& graph, const configs::Precision& precision)
    : graph_(graph), precision_(precision) {
  layout_.views.resize(graph.tensors.size());
  layout_.is_view_node.assign(graph.nodes.size(), false);
}

Layout make_layout(const Graph& graph, const configs::Precision& precision) {
  return LayoutBuilder(graph, precision).build();
}

Layout LayoutBuilder::build() {
  for (const TensorId input : graph_.inputs) new_storage(input);
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const Node& node = graph_.nodes[n];
    for (const TensorId input : node.inputs) {
      if (input != kNone && layout_.views[input].storage == kNone) new_storage(input);
    }
    if (alias(node)) {
      layout_.is_view_node[n] = true;
    } else {
      for (const TensorId output : node.outputs) {
        if (output != kNone) new_storage(output);
      }
    }
  }
  for (const TensorId output : graph_.outputs) {
    if (layout_.views[output].storage == kNone) new_storage(output);
    layout_.storages[layout_.views[output].storage].is_output = true;
  }
  harmonise_all();
  classify();
  order_factors();
  return std::move(layout_);
}

void LayoutBuilder::new_storage(TensorId id) {
  const Tensor& tensor = graph_.tensors[id];
  const auto storage = static_cast<StorageId>(layout_.storages.size());
  Storage record;
  record.name = tensor.name;
  record.root = id;
  record.is_input = tensor.producer == kNone;
  layout_.storages.push_back(record);
  members_.push_back({id});
  factor_count_.push_back(0);
  TensorView& view = layout_.views[id];
  view.storage = storage;
  view.dims.resize(tensor.shape.size());
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    const std::int64_t extent = tensor.shape[d];
    if (extent > std::numeric_limits<std::int32_t>::max()) {
      throw Error(ErrorKind::kBadInput, {.tensor = tensor.name},
                  fmt::format("dimension {} is {} when the NPU handles at most {}", d, extent,
                              std::numeric_limits<std::int32_t>::max()));
    }
    if (extent == 1) continue;  // a dimension of one element needs no factor
    view.dims[d] = {FactorRef{static_cast<int>(factors_.size()), 0, static_cast<std::int32_t>(extent)}};
    factors_.push_back({storage, extent});
    if (++factor_count_[storage] > kMaxRank) {
      throw Error(ErrorKind::kBadInput, {.tensor = tensor.name},
                  fmt::format("has {} dimensions when the NPU handles at most {}", tensor.shape.size(), kMaxRank));
    }
  }
}

bool LayoutBuilder::alias(const Node& node) {
  const OpDef* op = find_operator(node.op);
  if (op == nullptr || node.inputs.empty() || node.inputs[0] == kNone || node.outputs.empty()) return false;
  if (node.op == "Slice") return alias_slice(node);
  if (op->op_class != OpClass::kView) return false;
  if (node.op == "Transpose") return alias_transpose(node);
  return alias_reshape(node.inputs[0], node.outputs[0]);
}

bool LayoutBuilder::alias_reshape(TensorId from, TensorId to) {
  if (graph_.tensors[from].elements() != graph_.tensors[to].elements()) return false;
  const workloads::Shape& shape = graph_.tensors[to].shape;
  // Walk the source's factors once, cutting them where the target's dimensions end. A split changes the lists of
  // every view of the storage, so the walk re-reads the source after each.
  std::vector<std::size_t> taken;  // how many source factors each target dimension takes
  while (true) {
    Refs list;
    for (const auto& dim : layout_.views[from].dims) list.insert(list.end(), dim.begin(), dim.end());
    taken.assign(shape.size(), 0);
    std::size_t next = 0;
    bool restarted = false;
    for (std::size_t d = 0; d < shape.size() && !restarted; ++d) {
      std::int64_t rest = shape[d];
      while (rest > 1) {
        const FactorRef& ref = list[next];
        if (rest % ref.extent == 0) {
          rest /= ref.extent;
          ++taken[d];
          ++next;
        } else if (ref.extent % rest == 0) {
          if (!split(ref.factor, ref.extent / rest)) return false;
          restarted = true;
          break;
        } else {
          return false;
        }
      }
      // Factors of extent one (left by slices) stay with the dimension before them, so that no offset is lost.
      while (!restarted && next < list.size() && list[next].extent == 1) ++taken[d], ++next;
    }
    if (restarted) continue;
    if (next != list.size()) return false;  // a scalar view of a sliced element
    TensorView view{layout_.views[from].storage, {}};
    view.dims.resize(shape.size());
    std::size_t at = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      view.dims[d].assign(list.begin() + static_cast<std::ptrdiff_t>(at),
                          list.begin() + static_cast<std::ptrdiff_t>(at + taken[d]));
      at += taken[d];
    }
    members_[view.storage].push_back(to);
    layout_.views[to] = std::move(view);
    return true;
  }
}

bool LayoutBuilder::alias_transpose(const Node& node) {
  const TensorView& source = layout_.views[node.inputs[0]];
  const int rank = static_cast<int>(source.dims.size());
  std::vector<std::int64_t> reversed(rank);
  for (int d = 0; d < rank; ++d) reversed[d] = rank - 1 - d;
  const auto perm = node.integers("perm", reversed);
  TensorView view{source.storage, {}};
  for (const std::int64_t d : perm) view.dims.push_back(source.dims[d < 0 ? d + rank : d]);
  members_[view.storage].push_back(node.outputs[0]);
  layout_.views[node.outputs[0]] = std::move(view);
  return true;
}

bool LayoutBuilder::alias_slice(const Node& node) {
  const Tensor& from = graph_.input(node, 0);
  const Tensor& to = graph_.output(node);
  if (graph_.is_output(node.outputs[0])) return false;
  const OpDef& op = workloads::operator_of(node);
  const Box needed = op.region(graph_, node, 0, workloads::whole(to.shape));
  TensorView view = layout_.views[node.inputs[0]];
  for (int d = 0; d < needed.rank; ++d) {
    if (needed.extent[d] != to.shape[d]) return false;  // strided or reversed
    if (needed.extent[d] == from.shape[d]) continue;
    auto& refs = view.dims[d];
    std::int64_t inner = from.shape[d];
    if (refs.empty()) return false;
    inner /= refs[0].extent;
    // Only whole multiples of the inner factors can be cut off as a range of the outermost.
    if (needed.begin[d] % inner != 0 || needed.extent[d] % inner != 0) return false;
    refs[0].offset += static_cast<std::int32_t>(needed.begin[d] / inner);
    refs[0].extent = static_cast<std::int32_t>(needed.extent[d] / inner);
  }
  // A slice with a negative step has the same box but reverses: only the identity order is addressing.
  if (graph_.has_input(node, 4)) {
    const workloads::HostTensor steps = workloads::materialise(graph_.input(node, 4));
    for (const std::int64_t step : steps.ints()) {
      if (step != 1) return false;
    }
  }
  for (const std::int64_t step : node.integers("steps")) {
    if (step != 1) return false;
  }
  members_[view.storage].push_back(node.outputs[0]);
  layout_.views[node.outputs[0]] = std::move(view);
  return true;
}

bool LayoutBuilder::split(int factor, std::int64_t inner) {
  const StorageId storage = factors_[factor].storage;
  const std::int64_t extent = factors_[factor].extent;
  if (extent % inner != 0 || inner <= 1 || inner >= extent || factor_count_[storage] + 1 > kMaxRank) return false;
  const auto in = static_cast<std::int32_t>(inner);
  const auto whole_rows = [&](const FactorRef& r) { return r.offset % in == 0 && r.extent % in == 0; };
  const auto one_row = [&](const FactorRef& r) { return r.offset / in == (r.offset + r.extent - 1) / in; };
  for (const TensorId member : members_[storage]) {
    for (const auto& dim : layout_.views[member].dims) {
      for (const FactorRef& ref : dim) {
        if (ref.factor == factor && !whole_rows(ref) && !one_row(ref)) return false;
      }
    }
  }
  const int fresh = static_cast<int>(factors_.size());
  factors_.push_back({storage, inner});
  factors_[factor].extent = extent / inner;
  ++factor_count_[storage];
  for (const TensorId member : members_[storage]) {
    for (auto& dim : layout_.views[member].dims) {
      for (std::size_t i = 0; i < dim.size(); ++i) {
        if (dim[i].factor != factor) continue;
        const FactorRef ref = dim[i];
        if (whole_rows(ref)) {
          dim[i] = {factor, ref.offset / in, ref.extent / in};
          dim.insert(dim.begin() + static_cast<std::ptrdiff_t>(i) + 1, FactorRef{fresh, 0, in});
        } else {
          dim[i] = {factor, ref.offset / in, 1};
          dim.insert(dim.begin() + static_cast<std::ptrdiff_t>(i) + 1, FactorRef{fresh, ref.offset % in, ref.extent});
        }
        ++i;
      }
    }
  }
  return true;
}

bool LayoutBuilder::harmonise(TensorId a, int da, TensorId b, int db) {
  bool changed = false;
  while (true) {
    const Refs& x = layout_.views[a].dims[da];
    const Refs& y = layout_.views[b].dims[db];
    std::size_t i = 0;
    std::size_t j = 0;
    int factor = kNone;
    std::int64_t inner = 0;
    while (i < x.size() && j < y.size()) {
      const std::int64_t ex = x[i].extent;
      const std::int64_t ey = y[j].extent;
      if (ex == ey) {
        ++i, ++j;
      } else if (ex > ey && ex % ey == 0) {
        factor = x[i].factor, inner = ex / ey;
        break;
      } else if (ey > ex && ey % ex == 0) {
        factor = y[j].factor, inner = ey / ex;
        break;
      } else {
        return changed;
      }
    }
    if (factor == kNone || !split(factor, inner)) return changed;
    changed = true;
  }
}

void LayoutBuilder::harmonise_all() {
  // Element-wise neighbours, and the shared axes of a Concat, should factor alike so that tiles of one are tiles of
  // the other. Splits only add up to kMaxRank factors a storage, so this ends.
  bool changed = true;
  while (changed) {
    changed = false;
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (layout_.is_view_node[n]) continue;
      const Node& node = graph_.nodes[n];
      const OpDef* op = find_operator(node.op);
      if (op == nullptr || node.outputs.empty() || node.outputs[0] == kNone) continue;
      const bool concat = node.op == "Concat";
      if (op->op_class != OpClass::kElementwise && !concat) continue;
      const TensorId out = node.outputs[0];
      const int rank = static_cast<int>(graph_.tensors[out].shape.size());
      for (const TensorId in : node.inputs) {
        if (in == kNone || is_constant(graph_, layout_, in)) continue;
        if (static_cast<int>(graph_.tensors[in].shape.size()) != rank) continue;
        for (int d = 0; d < rank; ++d) {
          if (graph_.tensors[in].shape[d] != graph_.tensors[out].shape[d]) continue;
          changed |= harmonise(in, d, out, d);
        }
      }
    }
  }
}

void LayoutBuilder::classify() {
  const auto class_of = [&](TensorId t) { return layout_.storages[layout_.views[t].storage].storage_class; };
  const auto made_of_statistics = [&](const Node& node) {
    bool any = false;
    for (const TensorId t : node.inputs) {
      if (t == kNone || graph_.tensors[t].is_constant()) continue;
      if (class_of(t) != StorageClass::kStatistics) return false;
      any = true;
    }
    return any;
  };
  for (const Node& node : graph_.nodes) {
    const OpDef* op = find_operator(node.op);
    if (op == nullptr || node.outputs.empty() || node.outputs[0] == kNone) continue;
    Storage& out = layout_.storages[layout_.views[node.outputs[0]].storage];
    // Logarithms of sums of exponentials are statistics too: on a grid of 8 bits they would be worth nothing.
    const bool gathered = op->op_class == OpClass::kStatistics || node.op == "ReduceLogSumExp";
    if (gathered || made_of_statistics(node)) out.storage_class = StorageClass::kStatistics;
  }
  for (std::size_t s = 0; s < layout_.storages.size(); ++s) {
    Storage& storage = layout_.storages[s];
    const Tensor& root = graph_.tensors[storage.root];
    if (root.is_constant()) {
      bool weight = false;
      for (const TensorId member : members_[s]) {
        for (const NodeId consumer : graph_.tensors[member].consumers) {
          const Node& node = graph_.nodes[consumer];
          const OpDef* op = find_operator(node.op);
          const bool first = !node.inputs.empty() && node.inputs[0] == member;
          const bool second = node.inputs.size() > 1 && node.inputs[1] == member;
          weight |= op != nullptr && op->op_class == OpClass::kMatrix && (first || second);
          weight |= node.op == "Gather" && first;
        }
      }
      storage.storage_class = weight ? StorageClass::kWeight : StorageClass::kParameter;
    }
    if (!workloads::is_float(root.type)) {
      storage.format = root.type == DataType::kBool ? configs::Format::kInt8 : configs::Format::kInt32;
      continue;
    }
    switch (storage.storage_class) {
      case StorageClass::kWeight:
        storage.format = precision_.weight;
        break;
      case StorageClass::kActivation:
        storage.format = precision_.activation;
        break;
      case StorageClass::kParameter:
      case StorageClass::kStatistics:
        storage.format = precision_.parameter;
        break;
    }
  }
}

namespace {

/// Which order of its dimensions an operator likes a tensor to lie in, and how strongly.
struct Vote {
  int strength = -1;
  std::vector<int> order;
};

std::vector<int> row_major(int rank) {
  std::vector<int> order(rank);
  for (int d = 0; d < rank; ++d) order[d] = d;
  return order;
}

/// Channels innermost: [N, spatial..., C].
std::vector<int> channels_last(int rank) {
  std::vector<int> order{0};
  for (int d = 2; d < rank; ++d) order.push_back(d);
  order.push_back(1);
  return order;
}

Vote vote_of(const Graph& graph, const Layout& layout, const Node& node, TensorId tensor) {
  const int rank = static_cast<int>(graph.tensors[tensor].shape.size());
  const OpDef* op = find_operator(node.op);
  if (op == nullptr) return {};
  const bool is_output = std::find(node.outputs.begin(), node.outputs.end(), tensor) != node.outputs.end();
  const bool is_weight = node.inputs.size() > 1 && node.inputs[1] == tensor && is_constant(graph, layout, tensor);
  const bool image = node.op == "Conv" || node.op == "ConvTranspose" || op->op_class == OpClass::kWindow ||
                     node.op == "NormStatistics" || node.op == "NormApply" || node.op == "ChannelAffine";
  if (op->op_class == OpClass::kMatrix && is_weight) {
    if (node.op == "Conv") return {4, channels_last(rank)};  // [O, I, k...] -> O, k..., I
    if (node.op == "ConvTranspose") {                        // [I, O, k...] -> O, k..., I
      std::vector<int> order{1};
      for (int d = 2; d < rank; ++d) order.push_back(d);
      order.push_back(0);
      return {4, order};
    }
    std::vector<int> order = row_major(rank);
    if (rank >= 2 && node.integer("transB", 0) == 0) std::swap(order[rank - 1], order[rank - 2]);
    return {4, order};
  }
  if (image && rank >= 3 && (is_output || node.inputs[0] == tensor)) {
    const bool statistics_output = node.op == "NormStatistics" && is_output;
    if (!statistics_output) return {3, channels_last(rank)};
  }
  if (op->op_class == OpClass::kMatrix || node.op == "LayerNormalization") {
    const bool constant_product = graph.has_input(node, 1) && is_constant(graph, layout, node.inputs[1]);
    return {constant_product ? 2 : 1, row_major(rank)};
  }
  return {0, row_major(rank)};
}

}  // namespace

void LayoutBuilder::order_factors() {
  const std::size_t count = layout_.storages.size();
  std::vector<Vote> best(count);
  std::vector<TensorId> voter(count, kNone);  // the tensor whose dimensions best[s].order orders
  const auto cast = [&](TensorId tensor, const Vote& vote) {
    const StorageId s = layout_.views[tensor].storage;
    if (s != kNone && vote.strength > best[s].strength) best[s] = vote, voter[s] = tensor;
  };
  for (std::size_t s = 0; s < count; ++s) {
    const TensorId root = layout_.storages[s].root;
    best[s] = {-1, row_major(static_cast<int>(graph_.tensors[root].shape.size()))};
    voter[s] = root;
  }
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    if (layout_.is_view_node[n]) continue;
    const Node& node = graph_.nodes[n];
    for (const TensorId t : node.inputs) {
      if (t != kNone) cast(t, vote_of(graph_, layout_, node, t));
    }
    for (const TensorId t : node.outputs) {
      if (t != kNone) cast(t, vote_of(graph_, layout_, node, t));
    }
  }
  // Element-wise operators and Concat have no wish of their own: they pass their neighbours' on.
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (layout_.is_view_node[n]) continue;
      const Node& node = graph_.nodes[n];
      const OpDef* op = find_operator(node.op);
      if (op == nullptr || (op->op_class != OpClass::kElementwise && node.op != "Concat")) continue;
      std::vector<TensorId> same;
      for (const auto* list : {&node.outputs, &node.inputs}) {
        for (const TensorId t : *list) {
          const bool alike = t != kNone && !is_constant(graph_, layout_, t) &&
                             graph_.tensors[t].shape.size() == graph_.output(node).shape.size() &&
                             (node.op == "Concat" || graph_.tensors[t].shape == graph_.output(node).shape);
          if (alike) same.push_back(t);
        }
      }
      for (const TensorId a : same) {
        const StorageId sa = layout_.views[a].storage;
        if (best[sa].strength < 2 || voter[sa] == kNone) continue;
        // Only wishes stated in this very tensor's dimensions can be passed on as they are.
        if (graph_.tensors[voter[sa]].shape.size() != graph_.tensors[a].shape.size() ||
            layout_.views[voter[sa]].dims != layout_.views[a].dims) {
          continue;
        }
        for (const TensorId b : same) {
          const StorageId sb = layout_.views[b].storage;
          if (sb == sa || best[sb].strength >= 2) continue;
          best[sb] = {2, best[sa].order};
          voter[sb] = b;
          changed = true;
        }
      }
    }
  }
  std::vector<int> position(factors_.size(), kNone);
  std::vector<std::vector<int>> own(count);
  for (std::size_t f = 0; f < factors_.size(); ++f) own[factors_[f].storage].push_back(static_cast<int>(f));
  for (std::size_t s = 0; s < count; ++s) {
    Storage& storage = layout_.storages[s];
    std::vector<int> ordered;
    for (const int d : best[s].order) {
      for (const FactorRef& ref : layout_.views[voter[s]].dims[d]) ordered.push_back(ref.factor);
    }
    // Factors that the voter's view does not show go outermost.
    for (const int f : own[s]) {
      if (std::find(ordered.begin(), ordered.end(), f) == ordered.end()) ordered.insert(ordered.begin(), f);
    }
    // A scalar gets one factor of extent one, so that boxes of every storage can be empty.
    storage.rank = std::max(1, static_cast<int>(ordered.size()));
    storage.extent[0] = 1;
    for (std::size_t i = 0; i < ordered.size(); ++i) {
      position[ordered[i]] = static_cast<int>(i);
      storage.extent[i] = static_cast<std::int32_t>(factors_[ordered[i]].extent);
    }
  }
  for (TensorView& view : layout_.views) {
    for (auto& dim : view.dims) {
      for (FactorRef& ref : dim) ref.factor = position[ref.factor];
    }
  }
}

}  // namespace spillway::partitioner
