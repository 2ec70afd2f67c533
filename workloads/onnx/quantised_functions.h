// Operators that ONNX Runtime's quantiser writes beside ONNX's own (domain com.microsoft: QLinearAdd, QGemm and so on),
// as what they are defined to be: DequantizeLinear of every operand, the operator on numbers, QuantizeLinear of the
// result (onnxruntime/docs/ContribOperators.md).
#pragma once

#include "workloads/onnx/onnx_proto.h"

namespace spillway::workloads {

/// Replaces each such node of `graph`. Those that are known but not in this form (channels last) stay, and are refused
/// by name like any operator that is not supported. Throws Error(kBadInput): too few inputs.
void expand_quantised_functions(onnx::GraphProto& graph);

}  // namespace spillway::workloads
