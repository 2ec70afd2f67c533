// What an RNN, GRU or LSTM node says, read once for inference, evaluation and canonicalisation (ONNX operator
// specification, opset 7 on; layout since 14).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// Inputs, in ONNX's order; all after kR may be absent.
namespace recurrent {
inline constexpr int kX = 0, kW = 1, kR = 2, kB = 3, kLengths = 4, kInitialHidden = 5, kInitialCell = 6, kPeephole = 7;
}

struct Recurrent {
  int gates = 1;      ///< rows of W and R are gates x hidden: LSTM i, o, f, c; GRU z, r, h
  int functions = 1;  ///< of one direction
  bool has_cell = false;
  std::int64_t steps = 0, batch = 0, input = 0, hidden = 0, directions = 1;
  bool batch_first = false;  ///< layout 1
  bool reverse = false;      ///< the only direction runs backwards

  /// Of Y and of the states.
  [[nodiscard]] Shape output_shape() const;
  [[nodiscard]] Shape state_shape() const;
};

/// Throws Error(kBadInput) placed at the node: shapes that do not go together, an unknown direction.
[[nodiscard]] Recurrent read_recurrent(const Graph& graph, const Node& node);

/// Sigmoid, Tanh and so on, in lower case; parameters that it has not are 0.
struct GateFunction {
  std::string name;
  float alpha = 0.0F, beta = 0.0F;
};

/// Those of all directions, one direction after the other. Throws Error(kBadInput): a wrong number, an unknown name.
[[nodiscard]] std::vector<GateFunction> gate_functions(const Node& node, const Recurrent& form);

}  // namespace spillway::workloads
