// A shared resource of fixed rate: work is served in the order in which it is asked for, one at a time.
#pragma once

#include <algorithm>

#include "configs/configs.h"

namespace spillway::simulator {

class Link {
 public:
  /// The end of `duration` cycles of work that is asked for at `at`. Work is charged from the time it is asked for, not
  /// from when its data arrive: rates and their sharing are exact, idle gaps inside a transfer are not reserved.
  configs::Cycles reserve(configs::Cycles at, configs::Cycles duration) {
    free_ = std::max(free_, at) + duration;
    return free_;
  }

 private:
  configs::Cycles free_ = 0;
};

}  // namespace spillway::simulator
