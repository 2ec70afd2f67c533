// simulator: runs a Program on the modelled NPU, cycle-approximately and, on request, functionally.
//
// In:  a Program, the NpuConfig it was made for, and in functional mode the initial DRAM contents.
// Out: a Result: cycles, per-command times with the reason for every wait, moves, energy, occupancy; output tensors.
//
//   Result timing = simulate(program, npu);
//   FunctionalResult run = simulate_functional(program, npu, {{"sample", tensor}});
//
// SystemC lives behind this header and nowhere else. The kernel is one per process, so each simulation runs in a
// forked child and sends its Result back (docs/architecture.md). Time crosses as Cycles.
// Invariants: timing does not depend on functional mode; every cycle of every engine is busy or waits for a named
// cause; the bound-by shares add up to the latency exactly.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "partitioner/partitioner.h"
#include "workloads/calibration.h"
#include "workloads/fidelity.h"

namespace spillway::simulator {

using configs::Bytes;
using configs::Cycles;

/// Why an engine was not working, or what the critical path spent its time on.
enum class Cause : std::uint8_t {
  kMatrix,  ///< matrix engine working / waiting for a matrix command
  kVector,
  kDram,        ///< DRAM transfer / waiting for a load or store
  kPort,        ///< scratchpad or interconnect port
  kDescriptor,  ///< command and descriptor set-up
  kDependency,  ///< token latency and anything else between commands
  kIdle,        ///< nothing left in the queue
};
inline constexpr int kCauseCount = 7;
[[nodiscard]] std::string_view name_of(Cause cause);

/// Times of one command. issue: the engine was free and looked at it; start: its waits were met; end: complete.
struct CommandTimes {
  Cycles issue = 0, start = 0, end = 0;
  Cause wait = Cause::kIdle;  ///< cause of start - issue
};

struct EngineUse {
  std::string name;  ///< "dma0", "matrix0", "vector0"
  Cycles busy = 0;
  std::array<Cycles, kCauseCount> waiting{};  ///< busy + sum(waiting) == Result::cycles
  std::int64_t commands = 0;
};

/// Activity while a group's commands ran; groups overlap, so cycles are the group's share of the critical path.
struct GroupUse {
  Cycles first_start = 0, last_end = 0;
  Cycles critical = 0;  ///< cycles of the critical path inside this group; they add up to Result::cycles
  std::array<Cycles, kCauseCount> bound{};  ///< the same by cause
  Cycles matrix_busy = 0, vector_busy = 0, dma_busy = 0;
  std::int64_t macs = 0;
  std::int64_t commands = 0;
  partitioner::Moves moves;
  double energy_pj = 0;
};

struct DramUse {
  std::int64_t row_hits = 0, row_misses = 0, refreshes = 0, turnarounds = 0;
  Bytes burst_bytes = 0;  ///< transferred including rounding to bursts
  Cycles busy = 0;        ///< data bus
};

struct Energy {
  double mac_pj = 0, vector_pj = 0, scratchpad_pj = 0, accumulator_pj = 0, dram_pj = 0, static_pj = 0;
  [[nodiscard]] double total_pj() const {
    return mac_pj + vector_pj + scratchpad_pj + accumulator_pj + dram_pj + static_pj;
  }
};

struct Result {
  Cycles cycles = 0;
  std::int64_t macs = 0;
  std::array<Cycles, kCauseCount> bound_by{};  ///< critical path; adds up to cycles exactly
  std::vector<EngineUse> engines;
  std::vector<GroupUse> groups;
  std::vector<CommandTimes> commands;
  partitioner::Moves moves;  ///< counted by the DMA engines
  configs::VectorWork vector_ops{};
  configs::MatrixCycles matrix_cycles;  ///< summed over commands
  Bytes scratchpad_read = 0, scratchpad_written = 0;
  DramUse dram;
  Energy energy;
  Bytes peak_scratchpad = 0;  ///< largest simultaneously live bytes at any simulated instant
  std::int32_t peak_group = 0;
  Bytes peak_dram_activation = 0;  ///< live activation bytes in DRAM, peak over time
  Bytes working_buffer = 0;        ///< peak of (live activations in DRAM + scratchpad bytes in use)
  double host_seconds = 0;         ///< CPU time of the simulation; not part of reports' identity
};

/// `progress` (may be empty) is called now and then with (commands done, commands in all).
using Progress = std::function<void(std::int64_t, std::int64_t)>;

/// Throws Error(kInternal) if the Program dead-locks or an engine meets an operand out of bounds.
[[nodiscard]] Result simulate(const partitioner::Program& program, const configs::NpuConfig& npu,
                              const Progress& progress = {});

/// A tensor that some command writes, against the reference executor in float32.
struct LayerFidelity {
  std::string tensor, op;
  workloads::ErrorSums error;  ///< of samples of it, those made twice (halos) counted twice
  double added_noise = 0;      ///< noise over signal beyond that of the noisiest input
};

struct FunctionalResult {
  Result result;
  workloads::TensorMap outputs;
  std::vector<LayerFidelity> layers;  ///< in order of execution, where asked for
};

struct FunctionalOptions {
  Progress progress{};
  const workloads::Calibration* calibration = nullptr;  ///< needed where activations are held in integers
  bool fidelity = false;                                ///< compare layer by layer
};

/// Executes the Program on real data, in the number formats of the config. Throws Error(kBadInput) if a calibration
/// (workloads/calibration.h) is needed and is not given or is another graph's.
/// Reading a byte never written, or written by another storage, is an Error naming command, address and tensor.
[[nodiscard]] FunctionalResult simulate_functional(const partitioner::Program& program, const configs::NpuConfig& npu,
                                                   const workloads::TensorMap& inputs,
                                                   const FunctionalOptions& options = {});

/// The same Program on several inputs, one after the other, as the steps of a diffusion are. The first run finds out
/// what does not depend on the inputs, and the others need not find it out again: the times and the order of completion
/// (invariant: timing does not depend on data), constants encoded in the formats of the config, and packed for
/// products.
class FunctionalSimulator {
 public:
  static constexpr Bytes kPacked = Bytes{512} << 20;

  /// `program` and `npu` must outlive it. `packed`: of so many bytes of float32 constants, in the order that they are
  /// first read, the packed forms are kept, which take about as many.
  FunctionalSimulator(const partitioner::Program& program, const configs::NpuConfig& npu, Bytes packed = kPacked);
  FunctionalSimulator(const FunctionalSimulator&) = delete;
  FunctionalSimulator& operator=(const FunctionalSimulator&) = delete;
  ~FunctionalSimulator();

  /// What simulate_functional() returns, to the bit.
  [[nodiscard]] FunctionalResult run(const workloads::TensorMap& inputs, const FunctionalOptions& options = {});

 private:
  friend FunctionalResult simulate_functional(const partitioner::Program&, const configs::NpuConfig&,
                                              const workloads::TensorMap&, const FunctionalOptions&);
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace spillway::simulator
