#include "tests/conformance/document.h"

#include <fmt/format.h>
#include <onnx/defs/schema.h>

#include <algorithm>
#include <set>
#include <vector>

#include "workloads/operators/operators.h"

namespace spillway::workloads::test {

namespace {

constexpr int kOldest = 7, kNewest = 20;

/// Operators of sets that the installed schemas do not have yet; and semantic ones, which canonical graphs have.
struct Own {
  std::string_view name;
  int since;  ///< 0: no operator of ONNX
  std::string_view note;
};
constexpr Own kOwn[] = {
    {"BitwiseAnd", 18, ""},
    {"BitwiseNot", 18, ""},
    {"BitwiseOr", 18, ""},
    {"BitwiseXor", 18, ""},
    {"Gelu", 20, ""},
    {"GroupNormalization", 18, ""},
    {"Mish", 18, ""},
    {"ChannelAffine", 0, "a normalisation with constant statistics"},
    {"FakeQuantize", 0, "QuantizeLinear and DequantizeLinear in one"},
    {"LogAddExp", 0, "log(exp(a) + exp(b)), for attention in blocks of keys"},
    {"NormApply", 0, "a normalisation's element-wise part"},
    {"NormStatistics", 0, "a normalisation's sums"},
    {"QuickGelu", 0, "x sigmoid(1.702 x)"},
    {"Silu", 0, "x sigmoid(x)"},
};

/// Every version of the operator in ONNX's own domain, oldest first.
std::vector<onnx::OpSchema> versions_of(std::string_view op) {
  std::vector<onnx::OpSchema> found;
  for (const onnx::OpSchema& schema : onnx::OpSchemaRegistry::get_all_schemas_with_history()) {
    if (schema.domain().empty() && schema.Name() == op) found.push_back(schema);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.since_version() < b.since_version(); });
  return found;
}

/// Sets that have the operator, within those that are supported.
std::string opsets(int first, int last) {
  first = std::max(first, kOldest);
  return first == last ? std::to_string(first) : fmt::format("{} to {}", first, last);
}

std::string opsets(const std::vector<onnx::OpSchema>& versions) {
  const bool gone = versions.back().deprecated();
  return opsets(versions.front().since_version(), gone ? versions.back().since_version() - 1 : kNewest);
}

/// Element types of input 0 (of output 0 where there is no input) that ONNX allows and that tensors here have, in any
/// version; a float64 that is computed in float32 is in parentheses.
std::string element_types(const std::vector<onnx::OpSchema>& versions, const OpDef& def) {
  std::set<std::string> allowed;
  for (const onnx::OpSchema& schema : versions) {
    const auto& formal = schema.inputs().empty() ? schema.outputs() : schema.inputs();
    if (formal.empty()) continue;
    for (const auto* type : formal.front().GetTypes()) allowed.insert(*type);
  }
  constexpr std::pair<const char*, const char*> kTypes[] = {
      {"tensor(float)", "f32"}, {"tensor(float16)", "f16"}, {"tensor(bfloat16)", "bf16"}, {"tensor(double)", "f64"},
      {"tensor(int8)", "i8"},   {"tensor(uint8)", "u8"},    {"tensor(int16)", "i16"},     {"tensor(uint16)", "u16"},
      {"tensor(int32)", "i32"}, {"tensor(uint32)", "u32"},  {"tensor(int64)", "i64"},     {"tensor(uint64)", "u64"},
      {"tensor(bool)", "bool"},
  };
  constexpr std::size_t kAll = std::size(kTypes);
  std::string list;
  std::size_t count = 0;
  for (const auto& [onnx_name, name] : kTypes) {
    if (!allowed.contains(onnx_name)) continue;
    ++count;
    const bool narrowed = std::string_view(name) == "f64" && !def.float64;
    list += (list.empty() ? "" : " ") + (narrowed ? std::string("(f64)") : std::string(name));
  }
  return count == kAll ? def.float64 ? "all" : "all, (f64)" : list;
}

bool on_npu(const OpDef& def) { return def.region != nullptr || def.op_class == OpClass::kView; }

std::string npu_column(const OpDef& def) {
  if (def.op_class == OpClass::kShape) return "folded";
  if (on_npu(def)) return "yes";
  constexpr std::string_view kRewritten[] = {"ConvInteger",   "DynamicQuantizeLinear", "Einsum",        "GRU", "LSTM",
                                             "MatMulInteger", "QLinearConv",           "QLinearMatMul", "RNN", "Split"};
  return std::find(std::begin(kRewritten), std::end(kRewritten), def.name) != std::end(kRewritten) ? "rewritten" : "";
}

std::string reasons_table(const std::map<std::string, std::string>& listed) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const auto& [name, reason] : listed) by_reason[reason].push_back(name.substr(std::string("test_").size()));
  std::string text;
  for (const auto& [reason, names] : by_reason) {
    text += fmt::format("- **{}** ({}): ", reason, names.size());
    std::string line;
    for (const std::string& name : names) line += (line.empty() ? "" : ", ") + name;
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string operators_document(const std::map<std::string, Outcome>& outcomes,
                               const std::map<std::string, std::string>& listed) {
  std::map<std::string, int> passed;
  int all_passed = 0;
  for (const auto& [name, outcome] : outcomes) {
    if (!outcome.trouble.empty()) continue;
    ++all_passed;
    for (const std::string& op : outcome.ops) ++passed[op];
  }
  std::string text = fmt::format(
      "# Operators\n\n"
      "Generated by `scripts/operators-document`; a test fails when it is out of date. {} of the {} backend node tests "
      "that\n"
      "the installed ONNX generates pass, {} are listed below as not run.\n\n"
      "- *opsets*: the operator sets {} to {} that have the operator, by ONNX's schemas (from 18 on by our own "
      "table).\n"
      "  Models of older sets load if none of their operators changed up to set {}.\n"
      "- *types*: of the first input. (f64): taken, and computed in float32. 16-bit floats are computed in float32.\n"
      "- The reference executor runs every operator of the table. *NPU*: `yes`, an engine computes it; `rewritten`, "
      "it\n"
      "  becomes operators that one does; `folded`, only where it folds into a constant; empty, the NPU refuses it by "
      "name.\n"
      "- *cases*: node tests with the operator that pass.\n\n"
      "| operator | opsets | types | NPU | cases |\n| --- | --- | --- | --- | --- |\n",
      all_passed, outcomes.size(), listed.size(), kOldest, kNewest, kOldest);
  std::string semantic;
  for (const OpDef& def : operator_table()) {
    const std::string name(def.name);
    const auto own = std::find_if(std::begin(kOwn), std::end(kOwn), [&](const Own& o) { return o.name == name; });
    const auto versions = versions_of(name);
    if (own != std::end(kOwn) && own->since == 0) {
      semantic += fmt::format("- {}: {}\n", name, own->note);
    } else if (!versions.empty()) {
      text += fmt::format("| {} | {} | {} | {} | {} |\n", name, opsets(versions), element_types(versions, def),
                          npu_column(def), passed[name]);
    } else {
      const std::string types = name.starts_with("Bitwise") ? "i8 u8 i16 u16 i32 u32 i64 u64"
                                : def.float64               ? "f32 f16 bf16 f64"
                                                            : "f32 f16 bf16 (f64)";
      text +=
          fmt::format("| {} | {} | {} | {} | {} |\n", name, own == std::end(kOwn) ? "?" : opsets(own->since, kNewest),
                      types, npu_column(def), passed[name]);
    }
  }
  text +=
      "\n## Operators of canonical graphs\n\nMade by `canonicalise()`, or written by exporters into domains of their "
      "own.\n\n";
  text += semantic;
  text += "\n## Node tests that are not run\n\n";
  text += reasons_table(listed);
  return text;
}

}  // namespace spillway::workloads::test
