#include "simulator/functional/dram_image.h"

#include <algorithm>
#include <string>
#include <vector>

#include "simulator/functional/tensor_access.h"

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
  if (formats.quantised(id)) formats.encode(tensor, workloads::whole(value.shape), value.floats());
  for_each_element(dram_addresses(program, tensor), [&](std::int64_t address, std::int64_t i) {
    const auto k = static_cast<std::size_t>(i);
    if (value.holds_float()) {
      dram.store(address, format, id, value.floats()[k]);
    } else if (value.holds_double()) {
      dram.store(address, format, id, static_cast<float>(value.doubles()[k]));
    } else {
      dram.put_integer(address, format, id, value.ints()[k]);
    }
  });
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

void fill_dram(const Program& program, const workloads::TensorMap& inputs, StorageFormats& formats, Memory& dram) {
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
  for (const Storage& storage : program.layout.storages) {
    if (!storage.is_input || storage.root == kNone) continue;
    const Tensor& tensor = graph.tensors[at(storage.root)];
    if (!tensor.is_constant()) continue;
    HostTensor value = workloads::materialise(tensor);
    formats.hold(program.layout.views[at(storage.root)].storage, value);
    put(program, storage.root, std::move(value), formats, dram);
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
    if (!workloads::is_float(tensor.type)) value.data = std::vector<std::int64_t>();
    try {
      for_each_element(dram_addresses(program, id), [&](std::int64_t address, std::int64_t /*i*/) {
        const float element = dram.load(address, format, storage);
        if (value.holds_float()) {
          value.floats().push_back(element);
        } else {
          value.ints().push_back(dram.get_integer(address, format));
        }
      });
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
