// Shapes of everything between the inputs and the outputs, with the shape arithmetic folded on the way.
#pragma once

#include "workloads/onnx/graph_reader.h"

namespace spillway::workloads {

/// The inputs' shapes must be bound. Throws Error(kBadInput), naming node and tensor, where an operator refuses its
/// inputs, where a shape is beyond what any stage can hold, and where the file declares another type or shape.
/// With `dynamic`, tensors whose shapes depend on data are marked so instead.
void infer_shapes(ReadGraph& read, bool dynamic);

}  // namespace spillway::workloads
