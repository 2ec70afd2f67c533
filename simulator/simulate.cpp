#include "simulator/simulator.h"
#include "simulator/timing_run.h"

namespace spillway::simulator {

Result simulate(const partitioner::Program& program, const configs::NpuConfig& npu, const Progress& progress) {
  return timing_of(program, npu, progress);
}

}  // namespace spillway::simulator
