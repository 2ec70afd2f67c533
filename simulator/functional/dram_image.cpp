#include "simulator/functional/dram_image.h"

#include <algorithm>
#include <string>
#include <vector>

#include "simulator/functional/narrow_access.h"
#include "simulator/functional/tensor_access.h"
#include "workloads/decode.h"
#include "workloads/execution/value.h"

namespace spillway::simulator {

using partitioner::kNone;
using partitioner::Program;
using partitioner::Storage;
using partitioner::TensorId;
using workloads::HostTensor;
using workloads::Tensor;

namespace {

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

/// Addresses of a whole tensor in DRAM, where its storage lies dense.
AddressMap dram_addresses(const Program& program, TensorId tensor) {
  const partitioner::TensorView& view = program.layout.views[at(tensor)];
  const Storage& storage = program.layout.storages[at(view.storage)];
  partitioner::Placement placement = dense_placement(storage.whole(), storage.element_bytes());
  placement.origin += storage.dram_address;
  return map_addresses(view, placement, workloads::whole(program.graph.tensors[at(tensor)].shape));
}

void put(const Program& program, TensorId tensor, HostTensor value, const StorageFormats& formats, Memory& dram) {
  const partitioner::StorageId id = program.layout.views[at(tensor)].storage;
  const configs::Format format = program.layout.storages[at(id)].format;
  const AddressMap map = dram_addresses(program, tensor);
  if (value.holds_integer()) return write_integers(dram, map, format, id, value.ints().data());
  if (value.holds_double()) value = workloads::narrowed_to_float(std::move(value));
  const workloads::Box box = workloads::whole(value.shape);
  const workloads::ConstStridedView view{box, value.floats().data(), workloads::compute::dense_strides(box)};
  const workloads::Quantiser* grid = formats.quantised(id) ? formats.only_quantiser(tensor) : nullptr;
  write_elements(dram, map, grid != nullptr ? ElementCodec(format, *grid) : ElementCodec(format), id, view);
}

/// A constant's float32 values stay where they are; reading it finds each factor's step there.
bool lend(const Program& program, partitioner::StorageId id, Memory& dram) {
  const Storage& storage = program.layout.storages[at(id)];
  const Tensor& tensor = program.graph.tensors[at(storage.root)];
  if (tensor.shape.size() > workloads::kMaxRank) return false;
  const workloads::Value value = workloads::constant_value(tensor);
  if (!value.is_view()) return false;
  Memory::Lent contents;
  contents.given = dense_placement(storage.whole(), storage.element_bytes());
  contents.given.origin += storage.dram_address;
  contents.address = storage.dram_address;
  contents.bytes = storage.bytes();
  contents.data = reinterpret_cast<const std::byte*>(value.data);
  contents.owner = value.owner;
  std::array<bool, workloads::kMaxRank> known{};
  const auto& dims = program.layout.views[at(storage.root)].dims;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    std::int64_t step = value.stride[d] * static_cast<std::int64_t>(sizeof(float));
    for (std::size_t r = dims[d].size(); r-- > 0;) {
      const partitioner::FactorRef& ref = dims[d][r];
      if (ref.offset != 0 || ref.extent != storage.extent[at(ref.factor)] || known[at(ref.factor)]) return false;
      known[at(ref.factor)] = true;
      contents.lies.stride[at(ref.factor)] = step;
      step *= ref.extent;
    }
  }
  for (int f = 0; f < storage.rank; ++f) {
    if (!known[at(f)] && storage.extent[at(f)] != 1) return false;
  }
  dram.lend(id, std::move(contents));
  return true;
}

void put_constant(const Program& program, partitioner::StorageId id, StorageFormats& formats, Memory& dram) {
  const Storage& storage = program.layout.storages[at(id)];
  const AddressMap map = dram_addresses(program, storage.root);
  if (formats.hold(id, map, dram)) return;
  const Tensor& tensor = program.graph.tensors[at(storage.root)];
  const workloads::Value value = workloads::constant_value(tensor);
  if (!value.is_view()) return put(program, storage.root, workloads::materialise(tensor), formats, dram);
  write_elements(dram, map, ElementCodec(storage.format), id, value.view());  // not copied if it lies in a file
}

/// By storage: whether all that the program does with it in DRAM is to gather rows.
std::vector<char> gathered_only(const Program& program) {
  std::vector<char> only(program.layout.storages.size(), 1);
  for (const partitioner::Command& command : program.commands) {
    const auto operands = program.operands(command);
    for (std::size_t o = 0; o < operands.size(); ++o) {
      const bool is_table = command.kind == partitioner::CommandKind::kGather && o == 1;
      if (operands[o].space == partitioner::Space::kDram && !is_table) only[at(operands[o].storage)] = 0;
    }
  }
  for (std::size_t s = 0; s < only.size(); ++s) {
    if (program.layout.storages[s].is_output) only[s] = 0;
  }
  return only;
}

void check_input(const Tensor& tensor, const HostTensor& value) {
  const Place place{.tensor = tensor.name};
  if (value.shape != tensor.shape) {
    throw Error(
        ErrorKind::kBadInput, place,
        "input is " + workloads::to_string(value.shape) + " when it should be " + workloads::to_string(tensor.shape));
  }
  if (workloads::is_float(value.type) != workloads::is_float(tensor.type)) {
    throw Error(ErrorKind::kBadInput, place,
                "input is " + std::string(workloads::name_of(value.type)) + " when it should be " +
                    std::string(workloads::name_of(tensor.type)));
  }
}

}  // namespace

void put_inputs(const Program& program, const workloads::TensorMap& inputs, const StorageFormats& formats,
                Memory& dram) {
  const workloads::Graph& graph = program.graph;
  std::vector<std::string> names;
  for (const TensorId id : graph.inputs) {
    const Tensor& tensor = graph.tensors[at(id)];
    names.push_back(tensor.name);
    const auto given = inputs.find(tensor.name);
    if (given == inputs.end()) throw Error(ErrorKind::kBadInput, Place{.tensor = tensor.name}, "input is missing");
    check_input(tensor, given->second);
    if (program.layout.views[at(id)].storage != kNone) put(program, id, given->second, formats, dram);
  }
  for (const auto& [name, value] : inputs) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string nearest = nearest_name(name, names);
    throw Error(ErrorKind::kBadInput, Place{.tensor = name}, "the graph has no such input",
                nearest.empty() ? "" : "did you mean '" + nearest + "'?");
  }
}

void put_constants(const Program& program, bool kept, StorageFormats& formats, Memory& dram) {
  const std::vector<char> tables = gathered_only(program);
  for (std::size_t s = 0; s < program.layout.storages.size(); ++s) {
    const Storage& storage = program.layout.storages[s];
    if (!storage.is_input || storage.root == kNone || !program.graph.tensors[at(storage.root)].is_constant()) continue;
    const auto id = static_cast<partitioner::StorageId>(s);
    if (storage.format == configs::Format::kFp32 && lend(program, id, dram)) continue;
    if (tables[s] != 0 && formats.measure(id) && lend(program, id, dram)) continue;
    dram.promise(id, kept, [&program, &formats, &dram, id] { put_constant(program, id, formats, dram); });
  }
}

workloads::TensorMap read_outputs(const Program& program, const StorageFormats& formats, const Memory& dram) {
  workloads::TensorMap outputs;
  for (const TensorId id : program.graph.outputs) {
    const Tensor& tensor = program.graph.tensors[at(id)];
    const partitioner::StorageId storage = program.layout.views[at(id)].storage;
    if (storage == kNone) {
      if (tensor.is_constant()) outputs[tensor.name] = workloads::materialise(tensor);
      continue;
    }
    const configs::Format format = program.layout.storages[at(storage)].format;
    HostTensor value{tensor.type, tensor.shape, {}};
    const auto count = static_cast<std::size_t>(tensor.elements());
    if (workloads::is_float(tensor.type)) {
      value.data = std::vector<float>(count);
    } else {
      value.data = std::vector<std::int64_t>(count);
    }
    try {
      const AddressMap map = dram_addresses(program, id);
      if (value.holds_float()) {
        read_floats(dram, map, format, storage, value.floats().data());
      } else {
        read_integers(dram, map, format, storage, value.ints().data());
      }
    } catch (const WrongRead& wrong) {
      throw Error(ErrorKind::kInternal, Place{.tensor = tensor.name},
                  "an output that the program has not stored: address " + std::to_string(wrong.address));
    }
    if (formats.quantised(storage)) formats.decode(id, workloads::whole(value.shape), value.floats());
    outputs[tensor.name] = std::move(value);
  }
  return outputs;
}

}  // namespace spillway::simulator
