#include "cli/calibration_flags.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/flags.h"
#include "cli/functional.h"
#include "reports/atomic_files.h"

namespace spillway::cli {

namespace {

bool is_integer(configs::Format format) {
  return format == configs::Format::kInt8 || format == configs::Format::kInt16;
}

workloads::Calibration read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    throw Error(ErrorKind::kBadInput, Place{.file = file}, "cannot be read", "check the path");
  }
  return workloads::calibration_from_json(text.str(), file);
}

}  // namespace

void CalibrationFlags::add_to(CLI::App& verb) {
  add_value(verb, "--calibration", method,
            "of integer activations, from runs of the reference executor: minmax, percentile or mse", method, "mse");
  add_value(verb, "--percentile", percent, "of values that --calibration percentile covers", "99.99", "99.9");
  add_switch(verb, "--asymmetric", asymmetric, "give integer activations a zero point, so that they use all integers");
  add_values(verb, "--sample", sample_files, "FILE.npz with the inputs of one run to calibrate on", "generated noise",
             "prompt1.npz");
  add_value(verb, "--noise-samples", samples, "generated runs to calibrate on, where no --sample is given", "1", "4");
  add_value(verb, "--load-ranges", load, "file written by --save-ranges, instead of runs", "none",
            "unet.calibration.json");
  add_value(verb, "--save-ranges", save, "write the ranges to this file", "not written", "unet.calibration.json");
}

void CalibrationFlags::check() const {
  check_choice("--calibration", method, {"minmax", "percentile", "mse"});
  if (!(percent > 50 && percent <= 100)) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--percentile"},
                fmt::format("{} is not over 50 and at most 100 percent", percent), "--percentile 99.99");
  }
  constexpr int kMost = 10000;
  if (samples < 1 || samples > kMost) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--noise-samples"},
                fmt::format("{} is not a number from 1 to {}", samples, kMost), "--noise-samples 4");
  }
  if (!load.empty() && (!sample_files.empty() || !save.empty())) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--load-ranges"},
                "a calibration is loaded, or made (--sample, --save-ranges)", "leave out one of them");
  }
}

std::optional<workloads::Calibration> CalibrationFlags::calibration(const workloads::Graph& graph,
                                                                    const workloads::Graph& executed,
                                                                    const configs::NpuConfig& npu, std::uint64_t seed,
                                                                    Progress& progress) const {
  if (!is_integer(npu.precision.activation)) {
    if (!load.empty() || !save.empty()) {
      throw Error(ErrorKind::kBadInput, Place{.key = load.empty() ? "--save-ranges" : "--load-ranges"},
                  fmt::format("activations in {} need no calibration", configs::name_of(npu.precision.activation)),
                  "--precision int8, w8a16 or int16");
    }
    return std::nullopt;
  }
  if (!load.empty()) return read_file(load);
  std::vector<workloads::TensorMap> runs;
  std::vector<std::string> generated;
  for (const std::string& file : sample_files) runs.push_back(inputs_of(graph, read_inputs({file}), seed, generated));
  // Other noise than that of the run itself.
  constexpr std::uint64_t kApart = 1000003;
  for (int i = 0; i < samples && sample_files.empty(); ++i) {
    runs.push_back(inputs_of(graph, {}, seed + kApart * static_cast<std::uint64_t>(i + 1), generated));
  }
  progress.stage("calibrating");
  const workloads::CalibrationOptions options{.method = workloads::calibration_method_from_name(method),
                                              .percent = percent,
                                              .bits = static_cast<int>(8 * configs::bytes_of(npu.precision.activation)),
                                              .symmetric = !asymmetric};
  auto made = workloads::calibrate(executed, runs, options);
  if (!save.empty()) {
    const std::filesystem::path path(save);
    const std::string folder = path.parent_path().string();
    reports::write_atomically(folder.empty() ? "." : folder,
                              {{path.filename().string(), workloads::calibration_to_json(made)}});
  }
  return made;
}

}  // namespace spillway::cli
