#include "configs/precision.h"

#include <array>
#include <string>
#include <vector>

#include "configs/error.h"

namespace spillway::configs {
namespace {

struct FormatRow {
  Format format;
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array<FormatRow, kFormatCount> kFormats{{
    {Format::kInt8, "int8", 1},
    {Format::kInt16, "int16", 2},
    {Format::kInt32, "int32", 4},
    {Format::kFp16, "fp16", 2},
    {Format::kBf16, "bf16", 2},
    {Format::kFp8E4M3, "fp8e4m3", 1},
    {Format::kFp8E5M2, "fp8e5m2", 1},
    {Format::kFp32, "fp32", 4},
}};

const FormatRow& row_of(Format format) {
  const auto index = static_cast<std::size_t>(format);
  if (index >= kFormats.size()) internal_error("number format out of range");
  return kFormats[index];
}

struct UniformRow {
  std::string_view name;
  Precision precision;
};
using enum Format;
// Weight, activation, accumulator, parameter, vector. fp16 cannot hold bf16's range nor int16's digits, so those two
// do vector arithmetic in fp32. Two products of int16 overflow int32: their sums are fp32. "w8a16": 8-bit weights with
// 16-bit activations, as mobile NPUs offer it.
constexpr std::array<UniformRow, 9> kUniform{{
    {"int8", {kInt8, kInt8, kInt32, kFp32, kFp16}},
    {"int16", {kInt16, kInt16, kFp32, kFp32, kFp32}},
    {"w8a16", {kInt8, kInt16, kFp32, kFp32, kFp32}},
    {"fp16", {kFp16, kFp16, kFp32, kFp32, kFp16}},
    {"bf16", {kBf16, kBf16, kFp32, kFp32, kFp32}},
    {"fp8", {kFp8E4M3, kFp8E4M3, kFp32, kFp32, kFp16}},
    {"fp8e4m3", {kFp8E4M3, kFp8E4M3, kFp32, kFp32, kFp16}},
    {"fp8e5m2", {kFp8E5M2, kFp8E5M2, kFp32, kFp32, kFp16}},
    {"fp32", {kFp32, kFp32, kFp32, kFp32, kFp32}},
}};

template <typename Table>
[[noreturn]] void throw_unknown(const Table& table, std::string_view what, std::string_view name) {
  std::vector<std::string> names;
  std::string list;
  for (const auto& row : table) {
    names.emplace_back(row.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  const std::string near = nearest_name(name, names);
  throw Error(ErrorKind::kBadInput, {},
              "unknown " + std::string(what) + " '" + std::string(name) + "'" +
                  (near.empty() ? "" : "; did you mean '" + near + "'?"),
              "known: " + list);
}

}  // namespace

std::int64_t bytes_of(Format format) { return row_of(format).bytes; }

std::string_view name_of(Format format) { return row_of(format).name; }

Format format_from_name(std::string_view name) {
  for (const FormatRow& row : kFormats) {
    if (row.name == name) return row.format;
  }
  throw_unknown(kFormats, "number format", name);
}

Precision uniform_precision(std::string_view name) {
  for (const UniformRow& row : kUniform) {
    if (row.name == name) return row.precision;
  }
  throw_unknown(kUniform, "precision", name);
}

}  // namespace spillway::configs
