// Inputs, outputs and comparison of functional runs.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace spillway::cli {

/// A tensor that --input gives, before anything is known of the graph.
struct GivenInput {
  std::string flag;  ///< as typed
  std::string name;
  std::string file;
  workloads::HostTensor tensor{};
  std::exception_ptr trouble{};  ///< why the file could not be read: of interest only if the graph has such an input
};
/// `flags` are NAME=FILE with a .npy, .npz (its array NAME, or its only one) or .pb file, or FILE.npz for all arrays in
/// it. Throws Error(kBadInput) on anything else.
[[nodiscard]] std::vector<GivenInput> read_inputs(const std::vector<std::string>& flags);

/// The tensors by the graph's inputs. Inputs that nothing names are generated from `seed` and listed in `generated`.
/// Throws Error(kBadInput) on an unknown name (with the nearest), a wrong shape or type: saying what the graph wants.
[[nodiscard]] workloads::TensorMap inputs_of(const workloads::Graph& graph, std::vector<GivenInput> given,
                                             std::uint64_t seed, std::vector<std::string>& generated);

struct OutputFile {
  std::string tensor{};
  std::string path;  ///< empty: not written
};
/// How outputs are written.
struct OutputFormat {
  static constexpr const char* kNpy = "npy";
  static constexpr const char* kNpz = "npz";
  static constexpr const char* kPb = "pb";
};
/// Writes every tensor into `dir`, all or none: one .npy or .pb file each, or outputs.npz with all of them.
[[nodiscard]] std::vector<OutputFile> save(const workloads::TensorMap& outputs, const std::string& dir,
                                           const std::string& format = OutputFormat::kNpy);
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
