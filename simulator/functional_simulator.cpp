// Runs a Program on data, beside its timing simulation or in the order of completion that an earlier one has told.
#include <algorithm>
#include <optional>
#include <vector>

#include "simulator/functional/dram_image.h"
#include "simulator/functional/fidelity_probe.h"
#include "simulator/functional/functional_machine.h"
#include "simulator/functional/waves.h"
#include "simulator/simulator.h"
#include "simulator/timing_run.h"

namespace spillway::simulator {

namespace {

/// The storages in DRAM that may be forgotten once every command that touches them has been executed.
class Uses {
 public:
  explicit Uses(const partitioner::Program& program) : program_(program), left_(program.layout.storages.size(), 0) {
    for (const partitioner::Command& command : program.commands) {
      for_each_storage(command, [this](std::size_t storage) { ++left_[storage]; });
    }
  }

  template <typename Forget>
  void executed(std::int32_t command, Forget forget) {
    for_each_storage(program_.commands[static_cast<std::size_t>(command)], [&](std::size_t storage) {
      if (--left_[storage] == 0 && !program_.layout.storages[storage].is_output) {
        forget(static_cast<partitioner::StorageId>(storage));
      }
    });
  }

 private:
  template <typename Visit>
  void for_each_storage(const partitioner::Command& command, Visit visit) const {
    for (const partitioner::Operand& operand : program_.operands(command)) {
      if (operand.space == partitioner::Space::kDram && operand.storage >= 0) {
        visit(static_cast<std::size_t>(operand.storage));
      }
    }
  }

  const partitioner::Program& program_;
  std::vector<std::int64_t> left_;
};

FunctionalMachine::Waves one_by_one(std::span<const std::int32_t> commands) {
  FunctionalMachine::Waves waves;
  waves.reserve(commands.size());
  for (const std::int32_t command : commands) waves.push_back({command});
  return waves;
}

}  // namespace

/// What lasts from one run to the next.
class FunctionalSimulator::State {
 public:
  /// `packed`: bytes of constants whose packed forms are kept; 0 where there is no next run.
  State(const partitioner::Program& program, const configs::NpuConfig& npu, Bytes packed)
      : program_(program),
        npu_(npu),
        again_(packed > 0),
        formats_(program),
        dram_("DRAM", program.dram_bytes, program.layout.storages, std::make_shared<workloads::BufferPool>()),
        panels_(packed),
        machine_(program, formats_, dram_, again_ ? &panels_ : nullptr) {}

  [[nodiscard]] FunctionalResult run(const workloads::TensorMap& inputs, const FunctionalOptions& options) {
    formats_.calibrate(options.calibration);
    dram_.restart(static_cast<std::int32_t>(program_.layout.storages.size()));
    put_inputs(program_, inputs, formats_, dram_);
    if (!constants_there_) put_constants(program_, again_, formats_, dram_);
    constants_there_ = again_;
    std::optional<FidelityProbe> probe;
    if (options.fidelity) probe.emplace(program_, inputs);
    machine_.restart(probe ? &*probe : nullptr);
    if (timing_) {
      execute_in_order(options);
    } else {
      execute_beside_timing(options);
    }
    FunctionalResult answer;
    answer.outputs = read_outputs(program_, formats_, dram_);
    if (probe) answer.layers = probe->layers();
    if (again_) {
      answer.result = *timing_;
    } else {
      answer.result = std::move(*timing_);
    }
    return answer;
  }

 private:
  void execute_beside_timing(const FunctionalOptions& options) {
    constexpr std::size_t kAtOnce = 32;
    order_.clear();
    waves_.clear();
    TimingUnderWay timing(program_, npu_);
    Uses uses(program_);
    for (auto commands = timing.next(kAtOnce); !commands.empty(); commands = timing.next(kAtOnce)) {
      order_.insert(order_.end(), commands.begin(), commands.end());
      execute(options.fidelity ? one_by_one(commands) : waves_of(program_, commands), uses);
      if (options.progress) options.progress(static_cast<std::int64_t>(order_.size()), all());
    }
    timing_ = timing.finish();
    constexpr std::size_t kTogether = 128;
    const std::span<const std::int32_t> order(order_);
    for (std::size_t at = 0; again_ && at < order.size(); at += kTogether) {
      waves_.push_back(waves_of(program_, order.subspan(at, std::min(kTogether, order.size() - at))));
    }
  }

  void execute_in_order(const FunctionalOptions& options) {
    Uses uses(program_);
    std::vector<FunctionalMachine::Waves> apart;
    if (options.fidelity) apart.push_back(one_by_one(order_));
    std::int64_t done = 0;
    for (const auto& waves : options.fidelity ? apart : waves_) {
      done += execute(waves, uses);
      if (options.progress) options.progress(done, all());
    }
  }

  /// How many they are.
  std::int64_t execute(const FunctionalMachine::Waves& waves, Uses& uses) {
    machine_.execute(waves);
    std::int64_t commands = 0;
    for (const auto& wave : waves) {
      commands += std::ssize(wave);
      for (const std::int32_t command : wave) {
        uses.executed(command, [&](partitioner::StorageId storage) { dram_.forget(storage); });
      }
    }
    return commands;
  }

  [[nodiscard]] std::int64_t all() const { return static_cast<std::int64_t>(program_.commands.size()); }

  const partitioner::Program& program_;
  const configs::NpuConfig& npu_;
  bool again_ = false;
  StorageFormats formats_;
  Memory dram_;
  bool constants_there_ = false;
  KeptPanels panels_;
  FunctionalMachine machine_;
  std::vector<std::int32_t> order_;              // of completion
  std::vector<FunctionalMachine::Waves> waves_;  // of runs after the first, some commands at a time
  std::optional<Result> timing_;
};

FunctionalSimulator::FunctionalSimulator(const partitioner::Program& program, const configs::NpuConfig& npu,
                                         Bytes packed)
    : state_(std::make_unique<State>(program, npu, std::max<Bytes>(1, packed))) {}
FunctionalSimulator::~FunctionalSimulator() = default;

FunctionalResult FunctionalSimulator::run(const workloads::TensorMap& inputs, const FunctionalOptions& options) {
  return state_->run(inputs, options);
}

FunctionalResult simulate_functional(const partitioner::Program& program, const configs::NpuConfig& npu,
                                     const workloads::TensorMap& inputs, const FunctionalOptions& options) {
  return FunctionalSimulator::State(program, npu, 0).run(inputs, options);
}

}  // namespace spillway::simulator
