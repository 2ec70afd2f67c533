// The patterns of canonicalise(), one file each, in the order in which they run.
#pragma once

#include "workloads/canonical/rewriter.h"

namespace spillway::workloads {

void simplify(Rewriter& rewriter);                  ///< simplify.cpp: nodes that change nothing; parameters inlined
void expand_einsums(Rewriter& rewriter);            ///< einsum.cpp: MatMul, Mul, ReduceSum
void unroll_recurrences(Rewriter& rewriter);        ///< recurrent.cpp: RNN, GRU and LSTM, step by step
void expand_integer_operators(Rewriter& rewriter);  ///< integer_operators.cpp: QLinearConv, ConvInteger and the like
void merge_quantisation(Rewriter& rewriter);        ///< quantisation.cpp: FakeQuantize
void recognise_activations(Rewriter& rewriter);     ///< activation.cpp: Silu, Gelu
void recognise_layer_norm(Rewriter& rewriter);      ///< layer_norm.cpp
void recognise_norms(Rewriter& rewriter);  ///< norm.cpp: Group-, InstanceNormalization -> NormStatistics, NormApply
void recognise_batch_norm(Rewriter& rewriter);   ///< batch_norm.cpp: ChannelAffine
void unify_products(Rewriter& rewriter);         ///< product.cpp: Gemm, transposed weights, biases
void merge_pads(Rewriter& rewriter);             ///< pad.cpp: zero Pad into Conv and AveragePool
void split_into_slices(Rewriter& rewriter);      ///< split.cpp
void share_out_products(Rewriter& rewriter);     ///< share.cpp: one product per slice of its columns
void drop_expands(Rewriter& rewriter);           ///< expand.cpp: where the readers broadcast anyway
void distribute_statistics(Rewriter& rewriter);  ///< distribute.cpp: NormStatistics of a Concat

/// Whether `constant`, broadcast to `full`, has one value for each index of axis 1.
[[nodiscard]] bool is_per_channel(const Shape& constant, const Shape& full);

struct Pattern {
  const char* name;
  void (*run)(Rewriter& rewriter);
};

inline constexpr Pattern kPatterns[] = {
    {"simplify", simplify},
    {"einsum", expand_einsums},
    {"recurrences", unroll_recurrences},
    {"integer operators", expand_integer_operators},
    {"quantisation", merge_quantisation},
    {"activations", recognise_activations},
    {"layer norm", recognise_layer_norm},
    {"norms", recognise_norms},
    {"batch norm", recognise_batch_norm},
    {"products", unify_products},
    {"pads", merge_pads},
    {"splits", split_into_slices},
    {"shared products", share_out_products},
    {"expands", drop_expands},
    {"statistics of Concat", distribute_statistics},
};

}  // namespace spillway::workloads
