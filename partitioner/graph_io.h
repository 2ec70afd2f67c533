// Internal: the Graph inside a Program file.
#pragma once

#include "partitioner/byte_stream.h"
#include "workloads/graph.h"

namespace spillway::partitioner {

/// Constants are referenced, not held: generators and the few small ones that shape the operators (bounds, scales,
/// axes) are written, all others become Constant::Missing.
void write_graph(ByteWriter& out, const workloads::Graph& graph);

/// The graph with its links and every node's output shapes inferred anew and compared, so that the operators' region
/// maps may trust it. Throws Error(kBadInput).
[[nodiscard]] workloads::Graph read_graph(ByteReader& in);

}  // namespace spillway::partitioner
