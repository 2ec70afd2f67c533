// Static shapes for the graph inputs: what the file fixes, what the user binds, and nothing guessed.
#pragma once

#include "workloads/onnx/graph_reader.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

/// Sets type and shape of every graph input. A dimension name bound by one input's shape is bound everywhere.
/// Throws Error(kBadInput) on a contradiction, and listing every dimension that is left unbound with an example of
/// --shape. A binding that names nothing in this graph becomes a warning: the same flags may serve several graphs.
void bind_inputs(ReadGraph& read, const ShapeBindings& bindings);

}  // namespace spillway::workloads
