#include "cli/sensitivity.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>

#include "reports/format.h"

namespace spillway::cli {

namespace {

using reports::Knob;
using reports::SensitivityRow;

Turn turn_count(const std::string& key, std::int64_t now, double factor, const std::string& what) {
  if (factor < 1 && now % 2 != 0) {
    return {"", fmt::format("{} {}", now, what), fmt::format("{} {} cannot be halved", now, what)};
  }
  const auto turned = static_cast<std::int64_t>(static_cast<double>(now) * factor);
  return {fmt::format("{}={}", key, turned), fmt::format("{} {}", turned, what), ""};
}

SensitivityRow run_row(const std::string& model, const workloads::Graph& executed, const ProfileSettings& settings,
                       Knob knob, double factor) {
  const Turn turned = turn(settings.npu, knob, factor);
  SensitivityRow row{.knob = knob, .factor = factor, .setting = turned.setting, .override_ = turned.override_};
  row.fits = turned.why_not.empty();
  row.why_not = turned.why_not;
  if (!row.fits) return row;
  configs::NpuConfig npu;
  try {
    npu = settings.npu_flags.load({turned.override_});
  } catch (const Error& error) {
    // The config's own rules forbid this position of the knob.
    row.fits = false;
    row.why_not = error.problem();
    return row;
  }
  try {
    const Cost cost = cost_of(model, executed, npu, settings.options);
    row.cycles = cost.cycles;
    row.weight_moves = cost.moves.of(partitioner::StorageClass::kWeight);
    row.activation_moves = cost.moves.of(partitioner::StorageClass::kActivation);
    row.total_moves = cost.moves.total();
    row.energy_pj = cost.energy_pj;
  } catch (const DoesNotFit& refusal) {
    row.fits = false;
    row.why_not = fmt::format("does not fit; the smallest that would do is {}",
                              reports::binary_bytes(refusal.why().smallest_budget));
  }
  return row;
}

}  // namespace

Turn turn(const configs::NpuConfig& npu, Knob knob, double factor) {
  switch (knob) {
    case Knob::kScratchpad: {
      const auto size = static_cast<configs::Bytes>(static_cast<double>(npu.scratchpad.size) * factor);
      return {fmt::format("scratchpad.size={}B", size), reports::binary_bytes(size), ""};
    }
    case Knob::kDramBandwidth: {
      const double rate = npu.dram.data_rate_mtps * factor;
      return {fmt::format("dram.data_rate={:.17g}MT/s", rate),
              reports::si(npu.dram.peak_bytes_per_second() * factor, "B/s"), ""};
    }
    case Knob::kArrays: {
      const auto& matrix = npu.matrix;
      if (factor < 1 && matrix.count == 1) {
        return turn_count("matrix.cols", matrix.cols, factor, fmt::format("columns, {} rows", matrix.rows));
      }
      return turn_count("matrix.count", matrix.count, factor, fmt::format("of {}x{}", matrix.rows, matrix.cols));
    }
    case Knob::kVectorLanes:
      return turn_count("vector.lanes", npu.vector.lanes, factor, "lanes");
  }
  internal_error("every knob can be turned");
}

std::vector<SensitivityRow> sensitivity_of(const std::string& model, const workloads::Graph& executed,
                                           const ProfileSettings& settings, Progress& progress) {
  struct Task {
    Knob knob;
    double factor;
  };
  std::vector<Task> tasks;
  for (int k = 0; k < reports::kKnobCount; ++k) {
    for (const double factor : {0.5, 2.0}) tasks.push_back({static_cast<Knob>(k), factor});
  }
  std::vector<SensitivityRow> rows(tasks.size());
  std::vector<std::exception_ptr> trouble(tasks.size());
  std::atomic<std::size_t> next{0}, done{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < tasks.size(); i = next++) {
      try {
        rows[i] = run_row(model, executed, settings, tasks[i].knob, tasks[i].factor);
      } catch (...) {
        trouble[i] = std::current_exception();
      }
      progress.update(static_cast<std::int64_t>(++done), static_cast<std::int64_t>(tasks.size()), "runs");
    }
  };
  {
    std::vector<std::future<void>> workers;
    for (int j = 1; j < std::min<int>(settings.jobs, static_cast<int>(tasks.size())); ++j) {
      workers.push_back(std::async(std::launch::async, work));
    }
    work();
    for (auto& worker : workers) worker.get();
  }
  for (const std::exception_ptr& t : trouble) {
    if (t) std::rethrow_exception(t);
  }
  return rows;
}

}  // namespace spillway::cli
