#include "partitioner/group_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "configs/error.h"

namespace spillway::partitioner {

using workloads::OpClass;

Model::Model(const Graph& g, const configs::NpuConfig& n, const Layout& l)
    : graph(g), npu(n), layout(l), readers(l.storages.size()), producer(l.storages.size(), kNone) {
  ops_.resize(graph.nodes.size(), nullptr);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    ops_[i] = &workloads::operator_of(node);
    if (layout.is_view_node[i]) continue;
    const auto id = static_cast<NodeId>(i);
    executed.push_back(id);
    for (const TensorId t : node.inputs) {
      if (t == kNone) continue;
      auto& list = readers[storage_of(t)];
      if (list.empty() || list.back() != id) list.push_back(id);
    }
    for (std::size_t k = 1; k < node.outputs.size(); ++k) {
      if (node.outputs[k] == kNone) continue;
      const workloads::Tensor& extra = graph.tensors[node.outputs[k]];
      if (!extra.consumers.empty() || graph.is_output(node.outputs[k])) {
        throw Error(ErrorKind::kBadInput, {.node = node.name, .tensor = extra.name},
                    fmt::format("output {} of {} is used, but the NPU computes only output 0", k, node.op));
      }
    }
    if (ops_[i]->region == nullptr || ops_[i]->kernel == nullptr) {
      throw Error(ErrorKind::kBadInput, {.node = node.name},
                  fmt::format("{} has no form that the NPU can execute here", node.op),
                  "a Reshape that cuts across its input's dimensions cannot be addressing");
    }
    producer[output_of(id)] = id;
  }
}

namespace {

/// A transfer walks both boxes in the order of their own storage's factors: those of a piece must come in the order of
/// the whole's.
bool same_order(const FactorMap& map, const Storage& piece) {
  int last = kNone;
  for (int f = 0; f < piece.rank; ++f) {
    if (map[f] == kNone || piece.extent[f] == 1) continue;
    if (map[f] < last) return false;
    last = map[f];
  }
  return true;
}

}  // namespace

bool Model::concat_by_dma(NodeId node) const {
  const Node& n = graph.nodes[node];
  if (n.op != "Concat") return false;
  const int rank = static_cast<int>(graph.output(n).shape.size());
  const int axis = static_cast<int>((n.integer("axis", 0) + rank) % rank);
  const StorageId output = output_of(node);
  for (const TensorId input : n.inputs) {
    const auto map = layout.factor_map(input, n.outputs[0], axis);
    if (!map || !same_order(*map, layout.storages[storage_of(input)])) return false;
    if (layout.storages[storage_of(input)].format != layout.storages[output].format) return false;
  }
  return true;
}

std::int64_t Model::macs(NodeId node) const {
  const Node& n = graph.nodes[node];
  const auto shape = op(node).matrix_shape;
  return shape == nullptr ? 0 : shape(graph, n, workloads::whole(graph.output(n).shape)).macs();
}

bool Model::is_virtual(NodeId node) const { return concat_by_dma(node) && !layout.storages[output_of(node)].is_output; }

bool prefetched(const GroupModel& group, const StageModel& stage, Pipelining pipelining) {
  if (pipelining != Pipelining::kDouble) return false;
  if (stage.kind != StageKind::kConcat && stage.kind != StageKind::kGather) return false;
  for (const int l : stage.nodes[0].inputs) {
    if (l != kNone && group.locals[l].producer != kNone) return false;
  }
  return true;
}

int GroupModel::local_of(StorageId storage) const {
  for (std::size_t i = 0; i < locals.size(); ++i) {
    if (locals[i].storage == storage) return static_cast<int>(i);
  }
  return kNone;
}

namespace {

/// Whether a tensor shows its whole storage, every factor in full.
bool shows_all(const Model& model, TensorId tensor) {
  const TensorView& view = model.layout.views[tensor];
  const Storage& storage = model.layout.storages[view.storage];
  std::int64_t elements = 1;
  for (const auto& dim : view.dims) {
    for (const FactorRef& ref : dim) {
      if (ref.offset != 0 || ref.extent != storage.extent[ref.factor]) return false;
      elements *= ref.extent;
    }
  }
  return elements == storage.elements();
}

FactorMap identity_map(int rank) {
  FactorMap map;
  map.fill(kNone);
  for (int f = 0; f < rank; ++f) map[f] = f;
  return map;
}

FactorMap compose(const FactorMap& first, const FactorMap& second) {
  FactorMap map;
  map.fill(kNone);
  for (int f = 0; f < kMaxRank; ++f) {
    if (first[f] != kNone) map[f] = second[first[f]];
  }
  return map;
}

/// Builds a GroupModel node by node.
class GroupBuilder {
 public:
  GroupBuilder(const Model& model, const std::vector<NodeId>& nodes, const std::vector<StorageId>& dropped)
      : dropped_(dropped) {
    group_.model = &model;
    group_.nodes = nodes;
    for (const NodeId n : nodes) inside_.insert(n);
  }

  GroupModel build() {
    for (const NodeId n : group_.nodes) {
      add(n);
      if (!group_.ok()) return std::move(group_);
    }
    finish();
    return std::move(group_);
  }

 private:
  const Model& model() const { return *group_.model; }

  int local(StorageId storage) {
    const int found = group_.local_of(storage);
    if (found != kNone) return found;
    Local record;
    record.storage = storage;
    group_.locals.push_back(record);
    return static_cast<int>(group_.locals.size()) - 1;
  }

  /// Whether `node`'s input `i` can stay in a vector register of the stage that produces it.
  bool chains(NodeId id, int i, int* stage, int* position, FactorMap* map) const {
    const Node& node = model().graph.nodes[id];
    const TensorId input = node.inputs[i];
    const auto found = made_by_.find(model().storage_of(input));
    if (found == made_by_.end()) return false;
    const auto [s, p] = found->second;
    const StageModel& candidate = group_.stages[s];
    if (candidate.kind != StageKind::kMatrix && candidate.kind != StageKind::kVector) return false;
    if (!shows_all(model(), input)) return false;
    const bool statistics = model().op(id).op_class == OpClass::kStatistics;
    if (statistics) {
      *map = candidate.nodes[p].to_output;  // its domain is its input
    } else {
      const auto factors = model().layout.factor_map(input, node.outputs[0]);
      if (!factors) return false;
      *map = compose(candidate.nodes[p].to_output, *factors);
    }
    *stage = s;
    *position = p;
    return true;
  }

  void add(NodeId id) {
    const Node& node = model().graph.nodes[id];
    const OpClass op_class = model().op(id).op_class;
    const bool chainable = op_class == OpClass::kElementwise || op_class == OpClass::kStatistics;
    int stage = kNone;
    FactorMap map{};
    if (chainable) {
      for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
        if (op_class == OpClass::kStatistics && i > 0) break;
        if (node.inputs[i] == kNone) continue;
        int s = kNone;
        int p = kNone;
        FactorMap m{};
        if (chains(id, i, &s, &p, &m) && s > stage) stage = s, map = m;
      }
      // Everything else that it reads must exist before that stage runs.
      for (const TensorId input : node.inputs) {
        if (input == kNone || stage == kNone) continue;
        const auto found = made_by_.find(model().storage_of(input));
        if (found != made_by_.end() && found->second.first > stage) stage = kNone;
      }
    }
    if (stage == kNone) {
      StageModel fresh;
      if (op_class == OpClass::kMatrix) {
        fresh.kind = StageKind::kMatrix;
      } else if (model().concat_by_dma(id)) {
        fresh.kind = StageKind::kConcat;
      } else if (gathers_from_dram(id)) {
        fresh.kind = StageKind::kGather;
      }
      fresh.domain_tensor = op_class == OpClass::kStatistics ? node.inputs[0] : node.outputs[0];
      fresh.domain = model().storage_of(fresh.domain_tensor);
      stage = static_cast<int>(group_.stages.size());
      map = identity_map(model().layout.storages[fresh.domain].rank);
      group_.stages.push_back(std::move(fresh));
    }
    StageModel& home = group_.stages[stage];
    StageNode record;
    record.node = id;
    record.to_output = map;
    record.statistics = op_class == OpClass::kStatistics;
    record.inputs.assign(node.inputs.size(), kNone);
    record.chained.assign(node.inputs.size(), kNone);
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      if (node.inputs[i] == kNone) continue;
      const StorageId storage = model().storage_of(node.inputs[i]);
      const auto found = made_by_.find(storage);
      if (found != made_by_.end() && found->second.first == stage) {
        // A register of this stage: only readable element for element.
        int s = kNone;
        int p = kNone;
        FactorMap m{};
        if (!chains(id, i, &s, &p, &m) || m != map) {
          group_.why_not = "an operator reads a value of its own stage out of step";
          return;
        }
        record.chained[i] = found->second.second;
        continue;
      }
      if (found != made_by_.end() && group_.locals[local(storage)].accumulates) {
        group_.why_not = "statistics are complete only after the last tile";
        return;
      }
      const int l = local(storage);
      record.inputs[i] = l;
      // Concat and Gather fetch what lies outside straight from where it is, without a buffer of its own.
      const bool direct = home.kind == StageKind::kConcat || (home.kind == StageKind::kGather && i == 0);
      if (direct && found == made_by_.end()) continue;
      Local& source = group_.locals[l];
      if (source.first_reader == kNone) source.first_reader = stage;
      source.last_reader = std::max(source.last_reader, stage);
      source.first_reader = std::min(source.first_reader, stage);
    }
    const StorageId output = model().output_of(id);
    made_by_[output] = {stage, static_cast<int>(home.nodes.size())};
    home.nodes.push_back(std::move(record));
    if (group_.stages[stage].nodes.back().statistics) {
      const int l = local(output);
      group_.locals[l].accumulates = true;
      group_.locals[l].producer = stage;
      group_.stages[stage].nodes.back().output = l;
    }
  }

  bool gathers_from_dram(NodeId id) const {
    const Node& node = model().graph.nodes[id];
    return node.op == "Gather" && node.integer("axis", 0) == 0 && model().graph.input(node, 0).is_constant();
  }

  /// Needed after this group: graph output, or read by a node outside (through virtual Concats).
  bool needed_later(StorageId storage) const {
    if (model().layout.storages[storage].is_output) return true;
    if (std::find(dropped_.begin(), dropped_.end(), storage) != dropped_.end()) return false;
    for (const NodeId reader : model().readers[storage]) {
      if (model().is_virtual(reader)) {
        if (needed_later(model().output_of(reader))) return true;
      } else if (inside_.count(reader) == 0) {
        return true;
      }
    }
    return false;
  }

  void finish() {
    const int last = static_cast<int>(group_.stages.size()) - 1;
    group_.root_stage = last;
    group_.region = group_.root_storage().whole();
    for (int s = 0; s <= last; ++s) {
      StageModel& stage = group_.stages[s];
      for (StageNode& node : stage.nodes) {
        const StorageId output = model().output_of(node.node);
        const bool virtual_node = model().is_virtual(node.node);
        const bool later = !virtual_node && needed_later(output);
        bool read_by_stage = false;
        for (int t = s + 1; t <= last && !read_by_stage; ++t) {
          for (const StageNode& reader : group_.stages[t].nodes) {
            for (std::size_t i = 0; i < reader.inputs.size(); ++i) {
              const TensorId input = model().graph.nodes[reader.node].inputs[i];
              if (reader.inputs[i] != kNone && model().storage_of(input) == output) read_by_stage = true;
            }
          }
        }
        if (later || read_by_stage || node.statistics) {
          node.output = local(output);
          group_.locals[node.output].producer = s;
          group_.locals[node.output].stored = later;
        }
      }
      stage.whole = whole_axes(stage);
    }
    for (int s = 0; s < last; ++s) {
      bool used = false;
      for (const StageNode& node : group_.stages[s].nodes) {
        used |= node.output != kNone && !node.statistics && group_.locals[node.output].last_reader != kNone;
      }
      if (!used) group_.why_not = "two results that do not lead to each other";
    }
    for (Local& l : group_.locals) l.direct_only = l.producer == kNone && l.last_reader == kNone;
  }

  /// Axes that the region map of a row operator always asks for in full: probe it with a single element.
  std::vector<bool> whole_axes(const StageModel& stage) const {
    const Storage& domain = model().layout.storages[stage.domain];
    std::vector<bool> whole(domain.rank, false);
    const NodeId id = stage.nodes[0].node;
    if (model().op(id).op_class != OpClass::kRow) return whole;
    const Node& node = model().graph.nodes[id];
    const workloads::Tensor& out = model().graph.output(node);
    const workloads::Tensor& in = model().graph.input(node, 0);
    if (in.shape.size() != out.shape.size()) return whole;
    Box probe = workloads::whole(out.shape);
    for (int d = 0; d < probe.rank; ++d) probe.set(d, 0, std::min<std::int32_t>(1, probe.extent[d]));
    const Box needed = model().op(id).region(model().graph, node, 0, probe);
    const TensorView& view = model().layout.views[node.outputs[0]];
    for (int d = 0; d < probe.rank; ++d) {
      if (needed.extent[d] == 1 || out.shape[d] == 1) continue;
      for (const FactorRef& ref : view.dims[d]) whole[ref.factor] = true;
    }
    return whole;
  }

  GroupModel group_;
  const std::vector<StorageId>& dropped_;
  std::set<NodeId> inside_;
  std::map<StorageId, std::pair<int, int>> made_by_;  // storage -> (stage, position) inside this group
};

}  // namespace

GroupModel make_group(const Model& model, const std::vector<NodeId>& nodes, const std::vector<StorageId>& dropped) {
  return GroupBuilder(model, nodes, dropped).build();
}

int GroupModel::slices() const {
  const Storage& root = root_storage();
  return root.rank == 0 || region.extent[0] == root.extent[0] ? 1 : root.extent[0] / region.extent[0];
}

Box GroupModel::part_of(int local) const {
  const Storage& s = storage(local);
  Box part = s.whole();
  const bool batched = !s.is_input || !model->graph.tensors[s.root].is_constant();
  if (const int count = slices(); batched && count > 1) {
    const std::int32_t share = s.extent[0] / count;
    part.set(0, region.begin[0] / region.extent[0] * share, share);
  }
  return part;
}

Box map_box(const Box& domain, const FactorMap& map, int rank) {
  Box box;
  box.rank = rank;
  for (int f = 0; f < rank; ++f) box.extent[f] = 1;
  for (int f = 0; f < domain.rank; ++f) {
    if (map[f] != kNone) box.set(map[f], domain.begin[f], domain.extent[f]);
  }
  return box;
}

Box unmap_box(const Box& output, const FactorMap& map, const Storage& domain) {
  Box box = domain.whole();
  for (int f = 0; f < box.rank; ++f) {
    if (map[f] != kNone) box.set(f, output.begin[map[f]], output.extent[map[f]]);
  }
  return box;
}

Box logical_box(const GroupModel& group, const StageModel& stage, const StageNode& node, const Box& domain,
                bool* exact) {
  const Model& model = *group.model;
  const Node& n = model.graph.nodes[node.node];
  const TensorId tensor = node.statistics ? n.inputs[0] : n.outputs[0];
  (void)stage;
  const Box box = map_box(domain, node.to_output, model.layout.storages[model.storage_of(tensor)].rank);
  const Box hull = model.layout.logical_hull(tensor, box, exact);
  if (hull.empty()) internal_error("a region has no logical box");
  return hull;
}

Box input_box(const GroupModel& group, const StageModel& stage, const StageNode& node, int i, const Box& domain) {
  return input_box_of(*group.model, node, i, logical_box(group, stage, node, domain));
}

Box input_box_of(const Model& model, const StageNode& node, int i, const Box& out) {
  const Node& n = model.graph.nodes[node.node];
  if (node.statistics) return model.layout.to_storage(n.inputs[i], out);  // the region is of the input itself
  const Box needed = model.op(node.node).region(model.graph, n, i, out);
  return model.layout.to_storage(n.inputs[i], needed);
}

namespace {

std::int32_t balanced(std::int32_t extent, std::int64_t limit) {
  if (limit >= extent) return extent;
  if (limit <= 1) return 1;
  const std::int64_t parts = (extent + limit - 1) / limit;
  return static_cast<std::int32_t>((extent + parts - 1) / parts);
}

/// Vector commands are cut to about this many elements so that engines of a software pipeline can interleave.
constexpr std::int64_t kVectorBlock = 1 << 16;

/// Block extents for a matrix stage: output channels in multiples of the array's columns, rows to fill the rest.
std::array<std::int32_t, kMaxRank> matrix_block(const GroupModel& group, const StageModel& stage, const Box& region) {
  const Model& model = *group.model;
  const Node& node = model.graph.nodes[stage.nodes[0].node];
  const TensorView& view = model.layout.views[node.outputs[0]];
  const auto& matrix = model.npu.matrix;
  const std::int64_t half = matrix.accumulator_bytes / 2 / configs::bytes_of(model.npu.precision.accumulator);
  const int channel_dim = node.op == "MatMul" ? static_cast<int>(view.dims.size()) - 1 : 1;
  std::vector<bool> channel(region.rank, false);
  for (const FactorRef& ref : view.dims[channel_dim]) channel[ref.factor] = true;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  for (int f = 0; f < region.rank; ++f) (channel[f] ? columns : rows) *= region.extent[f];
  // As many rows as there are, but at least one array width of columns beside them.
  std::int64_t row_target =
      std::max<std::int64_t>(1, std::min(rows, half / std::min<std::int64_t>(columns, matrix.cols)));
  std::int64_t column_target = std::max<std::int64_t>(1, half / row_target);
  if (column_target < columns && column_target > matrix.cols) column_target -= column_target % matrix.cols;
  if (matrix.count > 1) {
    // A share for every engine: of the columns as far as whole widths of the array go round, else of the rows as long
    // as a fold streams more of them than it takes to preload.
    const std::int64_t widths = std::clamp<std::int64_t>(columns / matrix.cols, 1, matrix.count);
    if (widths > 1) {
      const std::int64_t share = (columns + widths - 1) / widths;
      column_target = std::min(column_target, (share + matrix.cols - 1) / matrix.cols * matrix.cols);
    }
    const std::int64_t shares = (matrix.count + widths - 1) / widths;
    row_target = std::min(row_target, std::max<std::int64_t>(matrix.rows, (rows + shares - 1) / shares));
  }
  std::array<std::int32_t, kMaxRank> block{};
  block.fill(1);
  std::int64_t taken_columns = 1;
  std::int64_t taken_rows = 1;
  bool columns_full = false;
  bool rows_full = false;
  for (int f = region.rank - 1; f >= 0; --f) {
    std::int64_t& taken = channel[f] ? taken_columns : taken_rows;
    bool& full = channel[f] ? columns_full : rows_full;
    if (full) continue;
    const std::int64_t limit = (channel[f] ? column_target : row_target) / taken;
    if (channel[f]) {
      block[f] = static_cast<std::int32_t>(std::min<std::int64_t>(region.extent[f], std::max<std::int64_t>(1, limit)));
    } else {
      block[f] = balanced(region.extent[f], limit);
    }
    full = block[f] < region.extent[f];
    taken *= block[f];
  }
  return block;
}

std::array<std::int32_t, kMaxRank> vector_block(const StageModel& stage, const Box& region) {
  std::array<std::int32_t, kMaxRank> block{};
  block.fill(1);
  std::int64_t taken = 1;
  for (int f = 0; f < region.rank; ++f) {
    if (stage.whole[f]) block[f] = region.extent[f], taken *= block[f];
  }
  for (int f = region.rank - 1; f >= 0; --f) {
    if (stage.whole[f]) continue;
    block[f] = balanced(region.extent[f], std::max<std::int64_t>(1, kVectorBlock / taken));
    taken *= block[f];
    if (block[f] < region.extent[f]) break;
  }
  return block;
}

void add_exact(const GroupModel& group, const StageModel& stage, const Box& block, std::vector<Box>& out) {
  for (const StageNode& node : stage.nodes) {
    bool exact = true;
    (void)logical_box(group, stage, node, block, &exact);
    if (exact) continue;
    for (int f = 0; f < block.rank; ++f) {
      if (block.extent[f] == 1) continue;
      for (std::int32_t i = 0; i < block.extent[f]; ++i) {
        Box part = block;
        part.set(f, block.begin[f] + i, 1);
        add_exact(group, stage, part, out);
      }
      return;
    }
    internal_error("a single element is not one logical box");
  }
  out.push_back(block);
}

}  // namespace

std::vector<Box> blocks_of(const GroupModel& group, const StageModel& stage, const Box& region) {
  std::vector<Box> out;
  if (region.empty()) return out;
  const auto size = stage.kind == StageKind::kMatrix ? matrix_block(group, stage, region) : vector_block(stage, region);
  std::array<std::int32_t, kMaxRank> at{};
  while (true) {
    Box block;
    block.rank = region.rank;
    for (int f = 0; f < region.rank; ++f) {
      block.set(f, region.begin[f] + at[f], std::min(size[f], region.extent[f] - at[f]));
    }
    add_exact(group, stage, block, out);
    int f = region.rank - 1;
    while (f >= 0 && (at[f] += size[f]) >= region.extent[f]) at[f--] = 0;
    if (f < 0) return out;
  }
}

configs::MatrixShape matrix_of(const GroupModel& group, const StageModel& stage, const Box& block) {
  const Model& model = *group.model;
  const StageNode& head = stage.nodes[0];
  return model.op(head.node).matrix_shape(model.graph, model.graph.nodes[head.node],
                                          logical_box(group, stage, head, block));
}

namespace {

/// Whether storing what a stage node makes in a quantised format takes a multiplication of its own: where the value
/// leaves the registers, unless its operator ends in a multiplication that the format's scale goes into. (A value that
/// the stage goes on computing with must keep its own scale.)
bool rounds(const GroupModel& group, const StageModel& stage, std::size_t i) {
  const StageNode& node = stage.nodes[i];
  if (node.output == kNone) return false;
  const configs::Format format = group.storage(node.output).format;
  if (format != configs::Format::kInt8 && format != configs::Format::kInt16) return false;
  const Model& model = *group.model;
  const workloads::OpDef& op = model.op(node.node);
  if (op.op_class == workloads::OpClass::kMove) return false;
  const bool scales_sums =
      i == 0 && stage.kind == StageKind::kMatrix && model.npu.precision.accumulator == configs::Format::kInt32;
  const Node& n = model.graph.nodes[node.node];
  const bool by_constant =
      (n.op == "Mul" || n.op == "Div") && n.inputs.size() == 2 && model.graph.input(n, 1).is_constant();
  if (!scales_sums && !op.carries_scale && !by_constant) return true;
  return std::any_of(stage.nodes.begin(), stage.nodes.end(), [&](const StageNode& later) {
    return !later.statistics &&
           std::find(later.chained.begin(), later.chained.end(), static_cast<int>(i)) != later.chained.end();
  });
}

}  // namespace

configs::VectorWork vector_of(const GroupModel& group, const StageModel& stage, const Box& block) {
  using configs::VectorOp;
  const Model& model = *group.model;
  configs::VectorWork work{};
  for (std::size_t i = 0; i < stage.nodes.size(); ++i) {
    const StageNode& node = stage.nodes[i];
    const Node& n = model.graph.nodes[node.node];
    const Box box = logical_box(group, stage, node, block);
    const auto elements = block.elements();
    if (i == 0 && stage.kind == StageKind::kMatrix) {
      // Draining partial sums: bias, and integer sums are scaled (alpha goes into that); a plain copy if neither.
      std::int64_t drain = 0;
      if (n.inputs.size() > 2 && n.inputs[2] != kNone) drain += elements;
      const bool integers = model.npu.precision.accumulator == configs::Format::kInt32;
      if (integers || n.real("alpha", 1.0F) != 1.0F) drain += elements;
      work[static_cast<int>(drain > 0 ? VectorOp::kAddMul : VectorOp::kMove)] += drain > 0 ? drain : elements;
    } else {
      if (node.statistics) {
        // vector_work is asked for an output box: one of as many channels, scaled by how much of them is here.
        const auto own = model.op(node.node).vector_work(model.graph, n, workloads::whole(model.graph.output(n).shape));
        const double share = static_cast<double>(elements) / static_cast<double>(model.graph.input(n, 0).elements());
        for (int c = 0; c < configs::kVectorOpCount; ++c) {
          work[c] += static_cast<std::int64_t>(static_cast<double>(own[c]) * share + 0.999999);
        }
        continue;
      }
      const auto own = model.op(node.node).vector_work(model.graph, n, box);
      for (int c = 0; c < configs::kVectorOpCount; ++c) work[c] += own[c];
    }
    if (rounds(group, stage, i)) work[static_cast<int>(VectorOp::kAddMul)] += elements;
  }
  return work;
}

}  // namespace spillway::partitioner
