// One tensor in a file of its own, as ONNX's tests and tools write it: a serialised TensorProto.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

#include "configs/error.h"
#include "workloads/decode.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/onnx/onnx_proto.h"
#include "workloads/onnx/tensor_reader.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

NamedTensor load_pb(const std::string& path) {
  const auto file = MappedFile::open(path);
  try {
    onnx::TensorProto proto;
    const bool small = file->size() <= static_cast<std::size_t>(std::numeric_limits<int>::max());
    if (!small || !proto.ParseFromArray(file->bytes().data(), static_cast<int>(file->size()))) {
      throw Error(ErrorKind::kBadInput, Place{}, "is not an ONNX tensor: it does not parse as TensorProto");
    }
    NamedTensor result;
    result.name = proto.name();
    ExternalFiles files(std::filesystem::path(path).parent_path().string());
    auto read = read_tensor(proto, files);
    const Tensor tensor{
        .name = result.name, .type = read.type, .shape = read.shape, .constant = std::move(read.constant)};
    result.tensor = materialise(tensor);
    return result;
  } catch (const Error& error) {
    throw error.within(Place{.file = path});
  }
}

void save_pb(const std::string& path, const NamedTensor& named) {
  onnx::TensorProto proto;
  proto.set_name(named.name);
  proto.set_data_type(onnx_type_of(named.tensor.type));
  for (const std::int64_t extent : named.tensor.shape) proto.add_dims(extent);
  proto.set_raw_data(encode_elements(named.tensor));
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out || !proto.SerializeToOstream(&out) || !out.flush()) {
    throw Error(ErrorKind::kBadInput, Place{.file = path},
                fmt::format("cannot be written: {}", std::generic_category().message(errno)));
  }
}

}  // namespace spillway::workloads
