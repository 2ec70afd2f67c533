// The families of operators: one function a family file, each answering its lines of the operator table.
#pragma once

#include <span>

#include "workloads/operators/operators.h"

namespace spillway::workloads {

[[nodiscard]] std::span<const OpDef> elementwise_operators();  ///< elementwise.cpp: arithmetic, comparison, selection
[[nodiscard]] std::span<const OpDef> variadic_operators();     ///< elementwise_variadic.cpp: Sum, Max, Clip, Cast, ...
[[nodiscard]] std::span<const OpDef> activation_operators();   ///< activation.cpp: unary mathematics, activations
[[nodiscard]] std::span<const OpDef> shape_operators();        ///< shape.cpp: folded, never executed by the NPU
[[nodiscard]] std::span<const OpDef> view_operators();         ///< view.cpp
[[nodiscard]] std::span<const OpDef> move_operators();         ///< move.cpp
[[nodiscard]] std::span<const OpDef> rearrange_operators();    ///< rearrange.cpp: Pad, DepthToSpace, SpaceToDepth
[[nodiscard]] std::span<const OpDef> gather_operators();       ///< gather.cpp
[[nodiscard]] std::span<const OpDef> reduce_operators();       ///< reduce.cpp: Reduce*
[[nodiscard]] std::span<const OpDef> scan_operators();         ///< scan.cpp: ArgMax, ArgMin, CumSum, TopK
[[nodiscard]] std::span<const OpDef> softmax_operators();      ///< softmax.cpp: Softmax, LogSoftmax
[[nodiscard]] std::span<const OpDef> matrix_operators();       ///< matmul.cpp: MatMul, Gemm
[[nodiscard]] std::span<const OpDef> convolution_operators();  ///< convolution.cpp
[[nodiscard]] std::span<const OpDef> transposed_convolution_operators();  ///< transposed_convolution.cpp
[[nodiscard]] std::span<const OpDef> channel_norm_operators();   ///< channel_norm.cpp: NormStatistics, NormApply, ...
[[nodiscard]] std::span<const OpDef> normalisation_operators();  ///< normalisation.cpp: LayerNormalization, ...
[[nodiscard]] std::span<const OpDef> window_operators();         ///< pooling.cpp
[[nodiscard]] std::span<const OpDef> resize_operators();         ///< resize.cpp: Resize, Upsample
[[nodiscard]] std::span<const OpDef> lrn_operators();            ///< lrn.cpp
[[nodiscard]] std::span<const OpDef> einsum_operators();         ///< einsum.cpp
[[nodiscard]] std::span<const OpDef> quantisation_operators();   ///< quantisation.cpp
[[nodiscard]] std::span<const OpDef> one_hot_operators();        ///< one_hot.cpp
[[nodiscard]] std::span<const OpDef> random_operators();         ///< random.cpp
[[nodiscard]] std::span<const OpDef> selection_operators();      ///< selection.cpp: NonZero, Compress, Unique
[[nodiscard]] std::span<const OpDef> detection_operators();  ///< detection.cpp: NonMaxSuppression, RoiAlign, MaxRoiPool
[[nodiscard]] std::span<const OpDef> scatter_operators();    ///< scatter.cpp: ScatterElements, ScatterND
[[nodiscard]] std::span<const OpDef> grid_sample_operators();  ///< grid_sample.cpp
[[nodiscard]] std::span<const OpDef> recurrent_operators();    ///< recurrent.cpp: RNN, GRU, LSTM
[[nodiscard]] std::span<const OpDef>
integer_product_operators();  ///< integer_products.cpp: MatMulInteger, ConvInteger, QLinear...
[[nodiscard]] std::span<const OpDef> signal_operators();      ///< signal.cpp: DFT, STFT, windows
[[nodiscard]] std::span<const OpDef> bitwise_operators();     ///< bitwise.cpp: BitShift, Bitwise*
[[nodiscard]] std::span<const OpDef> along_axis_operators();  ///< along_axis.cpp: Hardmax, LpNormalization, Det, ...

}  // namespace spillway::workloads
