#include <algorithm>
#include <vector>

#include "configs/error.h"
#include "workloads/operators/families.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {

namespace {

bool by_name(const OpDef& a, const OpDef& b) { return a.name < b.name; }

std::vector<OpDef> make_table() {
  std::vector<OpDef> table;
  for (const auto family : {elementwise_operators(),
                            variadic_operators(),
                            activation_operators(),
                            shape_operators(),
                            view_operators(),
                            move_operators(),
                            rearrange_operators(),
                            gather_operators(),
                            reduce_operators(),
                            scan_operators(),
                            softmax_operators(),
                            matrix_operators(),
                            convolution_operators(),
                            transposed_convolution_operators(),
                            channel_norm_operators(),
                            normalisation_operators(),
                            window_operators(),
                            resize_operators(),
                            lrn_operators(),
                            einsum_operators(),
                            quantisation_operators(),
                            one_hot_operators(),
                            random_operators(),
                            selection_operators(),
                            detection_operators(),
                            scatter_operators(),
                            grid_sample_operators(),
                            recurrent_operators(),
                            integer_product_operators(),
                            signal_operators(),
                            bitwise_operators(),
                            along_axis_operators()}) {
    table.insert(table.end(), family.begin(), family.end());
  }
  std::sort(table.begin(), table.end(), by_name);
  for (std::size_t i = 1; i < table.size(); ++i) {
    if (table[i - 1].name == table[i].name) {
      internal_error("operator '" + std::string(table[i].name) + "' is in the operator table twice");
    }
  }
  return table;
}

}  // namespace

std::span<const OpDef> operator_table() {
  static const std::vector<OpDef> table = make_table();
  return table;
}

const OpDef* find_operator(std::string_view name) {
  const auto table = operator_table();
  const auto it = std::lower_bound(table.begin(), table.end(), OpDef{.name = name}, by_name);
  return it != table.end() && it->name == name ? &*it : nullptr;
}

const OpDef& operator_of(const Node& node) {
  if (const OpDef* def = find_operator(node.op)) return *def;
  throw Error(ErrorKind::kBadInput, Place{.node = node.name}, "operator '" + node.op + "' is not supported");
}

}  // namespace spillway::workloads
