// From exported operators to semantic ones: what the NPU executes.
//
// Exporters decompose: GroupNorm is Reshape, InstanceNormalization, Reshape, Mul, Add; SiLU is Sigmoid, Mul; LayerNorm
// is nine operators. canonicalise() recognises them by pattern (never by name) and returns a new Graph whose nodes are
// the operators below plus the plain ones of the operator table; `Node::origins` keeps the way back for the
// operator-mix report: every exported node that executes is an origin of exactly one canonical node. Where one exported
// node becomes several, one of them has it and the others' origins are empty (of an InstanceNormalization in a group
// norm, NormStatistics; of a plain one, NormApply). Folded and dead nodes disappear, and so do nodes that change
// nothing (their origins go to the node that makes the tensor, or to its first reader). Constant inputs that are
// parameters (operators/parameters.h: the axes of a Slice, the scales of a Resize) become attributes: executed nodes
// have data inputs only. No pattern changes a result beyond float rounding. Patterns: canonical/patterns.h, one file
// each.
//
//   NormStatistics(x)                      x [N, C, spatial...] -> [N, C, 2]: per-channel mean and sum of squared
//        deviations over the spatial axes. kStatistics: its region map is asked "which input box" for an output box,
//        and answers [n, c, everything]; partial results over input tiles merge by Chan et al. (1979).
//   NormApply(x, stats, scale?, bias?)     attributes groups, epsilon; scale and bias [C]. Element-wise in x; needs the
//        statistics of every channel of the groups it touches (GroupNorm; InstanceNorm is groups = C).
//   LayerNormalization(x, scale?, bias?)   axis -1, epsilon
//   Silu(x)  attribute alpha: x * sigmoid(alpha x) (alpha 1.702 is QuickGELU)
//   Gelu(x)  exact (erf);  attribute approximate = "tanh" for the tanh form
//   MatMul(a, b, bias?)    attributes transA, transB (last two axes), alpha; bias [N]. Gemm becomes this.
//   Conv(x, w, bias?)      attributes pads (asymmetric after Pad is merged), strides, dilations, group
//   ChannelAffine(x, scale, bias)          BatchNormalization of an inference graph, per channel of axis 1
//   LogAddExp(a, b)                        log(exp(a) + exp(b)), broadcast; only in_key_blocks() makes it
//   (key_blocks.h) FakeQuantize(x, scale, zero?)          attributes axis, low, high: rounded to a grid of integers and
//   back
// QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger and DynamicQuantizeLinear become operators on the numbers that
// the integers stand for, whose steps FakeQuantize keeps. RNN, GRU and LSTM become the products and element-wise
// operators of each of their steps (at most 1024 in all). NormStatistics of a Concat on the channel axis is rewritten
// to the Concat of the inputs' NormStatistics, so that statistics can be gathered where each input is produced.
#pragma once

#include "workloads/graph.h"

namespace spillway::workloads {

/// `exported` must be imported (shapes static, folding done). Throws Error(kBadInput) listing every operator, with
/// counts, that has no executable form.
[[nodiscard]] Graph canonicalise(const Graph& exported);

/// Whether operators multiply integers as they are (QLinearConv, ConvInteger and the like). Their canonical form
/// computes with the numbers that those stand for, and may round to the other of two steps of a grid where one is as
/// near.
[[nodiscard]] bool has_integer_operators(const Graph& exported);

}  // namespace spillway::workloads
