#include "simulator/functional/storage_formats.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "simulator/functional/element_codec.h"
#include "simulator/functional/integer_constants.h"
#include "simulator/functional/tensor_access.h"
#include "workloads/compute/strided.h"
#include "workloads/execution/value.h"
#include "workloads/operators/operators.h"

namespace spillway::simulator {

using partitioner::CommandKind;
using partitioner::kNone;
using partitioner::Program;
using partitioner::Storage;
using partitioner::StorageId;
using partitioner::TensorId;
using workloads::Quantiser;
using workloads::Range;

namespace {

bool is_integer(Format format) { return format == Format::kInt8 || format == Format::kInt16; }

int bits_of(Format format) { return static_cast<int>(8 * configs::bytes_of(format)); }

/// Whether a storage's elements are real numbers, rather than indices or masks.
bool is_real(const Program& program, const Storage& storage) {
  return storage.root != kNone && workloads::is_float(program.graph.tensors[storage.root].type);
}

/// Storages that DMA copies into each other, as sets: the least member stands for each.
std::vector<StorageId> copied_together(const Program& program) {
  std::vector<StorageId> leader(program.layout.storages.size());
  std::iota(leader.begin(), leader.end(), 0);
  const auto find = [&](StorageId s) {
    while (leader[s] != s) s = leader[s] = leader[leader[s]];
    return s;
  };
  for (const partitioner::Command& command : program.commands) {
    if (command.kind != CommandKind::kLoad && command.kind != CommandKind::kStore && command.kind != CommandKind::kCopy)
      continue;
    const auto operands = program.operands(command);
    const StorageId a = find(operands[0].storage);
    const StorageId b = find(operands[1].storage);
    leader[std::max(a, b)] = std::min(a, b);
  }
  for (StorageId s = 0; s < static_cast<StorageId>(leader.size()); ++s) leader[s] = find(s);
  return leader;
}

/// The integers that FakeQuantize puts its result on; nullopt if another operator made the tensor, or if the grid has
/// another number of them.
std::optional<Quantiser> given_grid(const Program& program, const Storage& storage, int bits) {
  const workloads::NodeId producer = program.graph.tensors[storage.root].producer;
  if (producer == kNone || program.graph.nodes[producer].op != "FakeQuantize") return std::nullopt;
  const workloads::Node& node = program.graph.nodes[producer];
  const auto scalar = [&](std::size_t i) -> std::optional<float> {
    if (i >= node.inputs.size() || node.inputs[i] == kNone) return 0.0F;
    const workloads::Tensor& tensor = program.graph.tensors[node.inputs[i]];
    if (!tensor.is_constant() || tensor.constant->missing() || tensor.elements() != 1) return std::nullopt;
    return workloads::materialise(tensor).floats()[0];
  };
  const auto scale = scalar(1);
  const auto zero = scalar(2);
  const float low = node.real("low", 0);
  const float high = node.real("high", 0);
  if (!scale || !zero || high - low + 1 != static_cast<float>(1 << bits)) return std::nullopt;
  // An unsigned grid is the signed one moved by half its integers.
  Quantiser q;
  q.scale = *scale;
  q.low = -(1 << (bits - 1));
  q.high = -q.low - 1;
  q.zero_point = static_cast<std::int32_t>(*zero - low) + q.low;
  return q;
}

/// A constant of real numbers: in the mapped file, if that has float32; its values lie row-major.
workloads::Value real_value(const workloads::Tensor& tensor) {
  workloads::Value value = workloads::constant_value(tensor);
  if (!value.is_view()) value = workloads::value_of(workloads::narrowed_to_float(workloads::materialise(tensor)));
  return value;
}

/// The factors of a constant's storage that all products with it have their channels along, outermost first.
std::optional<std::vector<int>> channel_factors(const Program& program, StorageId storage) {
  std::optional<std::vector<int>> factors;
  for (const workloads::Node& node : program.graph.nodes) {
    const workloads::OpDef* op = workloads::find_operator(node.op);
    if (op == nullptr || op->op_class != workloads::OpClass::kMatrix) continue;
    const auto reads = [&](std::size_t i) {
      return i < node.inputs.size() && node.inputs[i] != kNone &&
             program.layout.views[node.inputs[i]].storage == storage;
    };
    if (reads(0)) return std::nullopt;
    if (!reads(1)) continue;
    const int dim = channel_dim(program.graph, node);
    if (dim == kNone) return std::nullopt;
    std::vector<int> mine;
    for (const auto& ref : program.layout.views[node.inputs[1]].dims[static_cast<std::size_t>(dim)]) {
      mine.push_back(ref.factor);
    }
    if (factors && *factors != mine) return std::nullopt;
    factors = std::move(mine);
  }
  return factors;
}

}  // namespace

int channel_dim(const workloads::Graph& graph, const workloads::Node& node) {
  if (node.op == "Conv") return 0;
  if (node.op == "ConvTranspose") return node.integer("group", 1) == 1 ? 1 : kNone;
  const int rank = static_cast<int>(graph.input(node, 1).shape.size());
  if (rank < 2) return kNone;
  return node.integer("transB", 0) != 0 ? rank - 2 : rank - 1;
}

void round_to(Format format, std::span<float> values) {
  if (format == Format::kFp32) return;
  constexpr std::size_t kPiece = 4096;
  const ElementCodec codec(format);
  const std::size_t pieces = (values.size() + kPiece - 1) / kPiece;
  workloads::compute::parallel_for(static_cast<std::int64_t>(pieces), [&](std::int64_t i) {
    const auto piece = values.subspan(static_cast<std::size_t>(i) * kPiece);
    codec.round(static_cast<std::int64_t>(std::min(kPiece, piece.size())), piece.data());
  });
}

StorageFormats::StorageFormats(const Program& program) : program_(program), entries_(program.layout.storages.size()) {}

void StorageFormats::calibrate(const workloads::Calibration* calibration) {
  const Program& program = program_;
  const auto& storages = program.layout.storages;
  // Constants are measured when they are there: hold().
  const auto needs_range = [&](const Storage& s) {
    return is_integer(s.format) && is_real(program, s) && !program.graph.tensors[s.root].is_constant();
  };
  if (std::none_of(storages.begin(), storages.end(), needs_range)) return;
  std::vector<std::optional<Range>> ranges(storages.size());
  const std::vector<StorageId> leader = copied_together(program);
  if (calibration != nullptr) {
    for (TensorId t = 0; t < static_cast<TensorId>(program.layout.views.size()); ++t) {
      const StorageId s = program.layout.views[t].storage;
      if (s == kNone) continue;
      const auto known = calibration->ranges.find(program.graph.tensors[t].name);
      if (known == calibration->ranges.end()) continue;
      auto& range = ranges[leader[s]];
      if (!range) range = Range{};
      range = {std::min(range->low, known->second.low), std::max(range->high, known->second.high)};
    }
  }
  for (StorageId s = 0; s < static_cast<StorageId>(storages.size()); ++s) {
    if (!needs_range(storages[s])) continue;
    if (!ranges[leader[s]]) {
      throw Error(ErrorKind::kBadInput, Place{.tensor = storages[s].name},
                  calibration == nullptr
                      ? "is held in " + std::string(configs::name_of(storages[s].format)) + ": its range must be known"
                      : "the calibration has no range for it; it was made for the graph '" + calibration->graph + "'",
                  "calibrate this very model");
    }
    const Range range = *ranges[leader[s]];
    const int bits = bits_of(storages[s].format);
    const bool alone = std::count(leader.begin(), leader.end(), leader[s]) == 1;
    if (const auto grid = alone ? given_grid(program, storages[s], bits) : std::nullopt) {
      entries_[s].quantisers = {*grid};
      continue;
    }
    entries_[s].quantisers = {calibration->symmetric ? workloads::symmetric_quantiser(range, bits)
                                                     : workloads::asymmetric_quantiser(range, bits)};
  }
}

bool StorageFormats::is_integer_constant(StorageId storage) const {
  const Storage& s = program_.layout.storages[storage];
  return is_integer(s.format) && is_real(program_, s) && program_.graph.tensors[s.root].is_constant();
}

/// `value`'s elements; the entry learns which channel each belongs to.
ChannelValues StorageFormats::channels_of(StorageId storage, const workloads::Value& value) {
  const Storage& s = program_.layout.storages[storage];
  Entry& entry = entries_[storage];
  entry = {};
  std::size_t channels = 1;
  if (const auto factors = channel_factors(program_, storage)) {
    for (auto f = factors->rbegin(); f != factors->rend(); ++f) {
      entry.channel.stride[static_cast<std::size_t>(*f)] = static_cast<std::int64_t>(channels);
      channels *= static_cast<std::size_t>(s.extent[static_cast<std::size_t>(*f)]);
    }
  }
  const Box box = workloads::whole(value.shape);
  if (!workloads::compute::is_dense(box, value.stride)) internal_error("a constant's values have gaps");
  return {box, value.data, map_addresses(program_.layout.views[s.root], entry.channel, box), channels};
}

bool StorageFormats::hold(StorageId storage, const AddressMap& map, Memory& dram) {
  if (!is_integer_constant(storage)) return false;
  const Storage& s = program_.layout.storages[storage];
  const workloads::Value value = real_value(program_.graph.tensors[s.root]);
  const ChannelValues values = channels_of(storage, value);
  entries_[storage].quantisers = write_by_channel(dram, map, s.format, storage, values);
  return true;
}

bool StorageFormats::measure(StorageId storage) {
  if (!is_integer_constant(storage)) return false;
  const workloads::Value value = real_value(program_.graph.tensors[program_.layout.storages[storage].root]);
  const ChannelValues values = channels_of(storage, value);
  if (values.count != 1) return false;
  entries_[storage].quantisers = quantisers_by_channel(values, bits_of(program_.layout.storages[storage].format));
  return true;
}

template <typename Visit>
void StorageFormats::for_each(TensorId tensor, const workloads::Box& box, Visit visit) const {
  const Entry& entry = entry_of(tensor);
  if (entry.quantisers.size() == 1) {
    const std::int64_t elements = box.elements();
    for (std::int64_t i = 0; i < elements; ++i) visit(entry.quantisers[0], static_cast<std::size_t>(i));
    return;
  }
  for_each_element(map_addresses(program_.layout.views[tensor], entry.channel, box),
                   [&](std::int64_t channel, std::int64_t i) {
                     visit(entry.quantisers[static_cast<std::size_t>(channel)], static_cast<std::size_t>(i));
                   });
}

void StorageFormats::encode(TensorId tensor, const workloads::Box& box, std::span<float> values) const {
  for_each(tensor, box,
           [&](const Quantiser& q, std::size_t i) { values[i] = static_cast<float>(q.encode(values[i])); });
}

void StorageFormats::decode(TensorId tensor, const workloads::Box& box, std::span<float> values) const {
  for_each(tensor, box,
           [&](const Quantiser& q, std::size_t i) { values[i] = q.decode(static_cast<std::int32_t>(values[i])); });
}

void StorageFormats::centre(TensorId tensor, std::span<float> values) const {
  const auto zero = static_cast<float>(entry_of(tensor).quantisers[0].zero_point);  // scales by channel have none
  if (zero == 0) return;
  for (float& v : values) v -= zero;
}

std::vector<float> StorageFormats::product_scales(const workloads::Node& node, std::int32_t first, std::int32_t count,
                                                  float alpha) const {
  const float scale_a = entry_of(node.inputs[0]).quantisers[0].scale * alpha;
  const TensorId b = node.inputs[1];
  const int dim = channel_dim(program_.graph, node);
  if (entry_of(b).quantisers.size() == 1 || dim == kNone) return {scale_a * entry_of(b).quantisers[0].scale};
  workloads::Box column = workloads::whole(program_.graph.tensors[b].shape);
  for (int d = 0; d < column.rank; ++d) column.set(d, 0, 1);
  column.set(dim, first, count);
  std::vector<float> scales(static_cast<std::size_t>(count));
  for_each(b, column, [&](const Quantiser& q, std::size_t i) { scales[i] = scale_a * q.scale; });
  return scales;
}

}  // namespace spillway::simulator
