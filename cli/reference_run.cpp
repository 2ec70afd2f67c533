#include "cli/reference_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>

namespace spillway::cli {

namespace {

/// What the system says can be had without swapping (Linux, proc(5)); nothing if it does not say.
std::optional<std::int64_t> available_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("MemAvailable:")) continue;
    const std::size_t digits = line.find_first_of("0123456789");
    if (digits == std::string::npos) return std::nullopt;
    std::int64_t kib = 0;
    const auto [end, error] = std::from_chars(line.data() + digits, line.data() + line.size(), kib);
    if (error != std::errc{} || kib > (std::int64_t{1} << 50)) return std::nullopt;
    return kib * 1024;
  }
  return std::nullopt;
}

std::string appearance(const workloads::NonFinite& event) {
  const std::string what = event.nan ? "NaN" : "infinity";
  if (event.node.empty()) return fmt::format("{} is in input '{}'", what, event.tensor);
  return fmt::format("{} first appears in tensor '{}', made by node '{}' ({}) of inputs without it", what, event.tensor,
                     event.node, event.op);
}

}  // namespace

void check_memory(const workloads::Graph& graph, const std::string& model) {
  const std::int64_t needed = workloads::peak_bytes(graph);
  const auto available = available_bytes();
  if (!available || needed <= *available) return;
  throw Error(ErrorKind::kBadInput, Place{.file = model},
              fmt::format("needs about {:.1f} GB of memory to run when {:.1f} GB are available",
                          static_cast<double>(needed) / 1e9, static_cast<double>(*available) / 1e9),
              "make its inputs smaller (--shape, --batch, --image), or run it on a machine with more memory");
}

workloads::TensorMap run_reference(const workloads::Graph& graph, const workloads::TensorMap& inputs,
                                   const ReferenceRun& run, Context& context, Progress& progress) {
  bool nan_seen = false;
  bool infinity_seen = false;
  std::vector<std::string> events;
  workloads::ExecuteOptions options;
  options.double_sums = run.double_sums;
  options.non_finite = [&](const workloads::NonFinite& event) {
    bool& seen = event.nan ? nan_seen : infinity_seen;
    if (seen) return;
    seen = true;
    if (run.nan_is_error) {
      throw Error(ErrorKind::kBadInput, Place{.file = run.model, .node = event.node, .tensor = event.tensor},
                  event.node.empty()
                      ? fmt::format("the input has {}", event.nan ? "NaN" : "infinity")
                      : fmt::format("{} makes {} of inputs without it", event.op, event.nan ? "NaN" : "infinity"));
    }
    events.push_back(fmt::format("{}: {}", run.model, appearance(event)));
  };
  options.progress = [&](const workloads::ExecuteProgress& done) {
    progress.compute(done.nodes_done, done.nodes, "operators", done.operations_done, done.operations);
  };
  progress.stage(run.model + ": reference executor");
  workloads::TensorMap results = workloads::execute(graph, inputs, run.dump, options);
  context.warn(events);
  return results;
}

bool has_non_finite(const workloads::TensorMap& tensors) {
  const auto any = [](const auto& values) {
    return std::any_of(values.begin(), values.end(), [](auto v) { return !std::isfinite(static_cast<double>(v)); });
  };
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& entry) { return std::visit(any, entry.second.data); });
}

}  // namespace spillway::cli
