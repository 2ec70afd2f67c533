// ONNX protobuf, for the .cpp files of workloads only (importer, zoo): no protobuf type crosses a public header.
//
// Debian's libonnx-dev compiles its messages with ONNX_NAMESPACE=onnx and ONNX_ML=1; the CMake target onnx_proto
// carries both definitions, and workloads/onnx/CMakeLists.txt links it.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "workloads/graph.h"

namespace spillway::workloads {

/// ONNX's number of an element type; and back. data_type_of throws Error(kBadInput) for a type that is not handled.
[[nodiscard]] int onnx_type_of(DataType type);
[[nodiscard]] DataType data_type_of(int onnx_type);

/// Parses a whole model. Throws Error(kBadInput) naming `source` if the bytes are empty, truncated, over protobuf's
/// 2 GiB, or not ONNX.
[[nodiscard]] std::unique_ptr<onnx::ModelProto> parse_model(std::span<const std::byte> bytes,
                                                            const std::string& source);

}  // namespace spillway::workloads
