// Inputs, outputs and comparison of functional runs.
#pragma once

#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace spillway::cli {

/// `flags` are NAME=FILE.npy. Inputs that no flag names are generated from `seed` and listed in `generated`. Throws
/// Error(kBadInput) on an unknown name (with the nearest), a bad file, a wrong shape or kind of element.
[[nodiscard]] workloads::TensorMap inputs_of(const workloads::Graph& graph, const std::vector<std::string>& flags,
                                             std::uint64_t seed, std::vector<std::string>& generated);

struct OutputFile {
  std::string tensor{};
  std::string path;  ///< empty: not written
};
/// Writes every output as .npy, all or none.
[[nodiscard]] std::vector<OutputFile> save(const workloads::TensorMap& outputs, const std::string& dir);
[[nodiscard]] std::vector<OutputFile> unwritten(const workloads::TensorMap& outputs);

struct Summary {
  double least = 0, mean = 0, most = 0;
};
[[nodiscard]] Summary summary_of(const workloads::HostTensor& tensor);

inline constexpr double kLargestErrorLimit = 2e-5;
inline constexpr double kRelativeL2Limit = 1e-5;

/// One output against the reference.
struct Difference {
  std::string tensor{};
  double largest_error = 0;
  double relative_to_largest = 0;  ///< largest error over the largest reference magnitude
  double relative_l2 = 0;
  [[nodiscard]] bool ok() const { return relative_to_largest <= kLargestErrorLimit && relative_l2 <= kRelativeL2Limit; }
};
[[nodiscard]] std::vector<Difference> differences_of(const workloads::TensorMap& outputs,
                                                     const workloads::TensorMap& reference);

}  // namespace spillway::cli
