// Internal: how a Layout is found. See layout.h for what it is.
#pragma once

#include "partitioner/layout.h"

namespace spillway::partitioner {

/// Storages under construction: factors are split as views ask for it; their order is chosen at the end.
class LayoutBuilder {
 public:
  LayoutBuilder(const Graph& graph, const configs::Precision& precision);
  [[nodiscard]] Layout build();

 private:
  struct Factor {
    StorageId storage = kNone;
    std::int64_t extent = 1;
  };
  using Refs = std::vector<FactorRef>;  // FactorRef::factor indexes factors_ until order_factors() renumbers

  void new_storage(TensorId tensor);
  [[nodiscard]] bool alias(const Node& node);
  [[nodiscard]] bool alias_reshape(TensorId from, TensorId to);
  [[nodiscard]] bool alias_transpose(const Node& node);
  [[nodiscard]] bool alias_slice(const Node& node);
  /// Splits `factor` into (extent / inner, inner) in every view of its storage; false if some view forbids it.
  [[nodiscard]] bool split(int factor, std::int64_t inner);
  /// Splits factors of both until dimension `da` of `a` and `db` of `b` (of equal extent) factor alike. Returns whether
  /// anything was split.
  bool harmonise(TensorId a, int da, TensorId b, int db);
  void harmonise_all();
  void classify();
  void order_factors();

  const Graph& graph_;
  configs::Precision precision_;
  Layout layout_;
  std::vector<Factor> factors_;
  std::vector<std::vector<TensorId>> members_;  // tensors that view each storage
  std::vector<int> factor_count_;               // per storage
};

}  // namespace spillway::partitioner
