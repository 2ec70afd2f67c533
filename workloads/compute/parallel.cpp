#include "workloads/compute/parallel.h"

#include <omp.h>

#include <exception>
#include <limits>

namespace spillway::workloads::compute {

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  if (count <= 1 || omp_in_parallel() != 0 || omp_get_max_threads() == 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::exception_ptr problem;
  std::int64_t problem_at = std::numeric_limits<std::int64_t>::max();
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(spillway_parallel_problem)
      if (i < problem_at) {
        problem_at = i;
        problem = std::current_exception();
      }
    }
  }
  if (problem) std::rethrow_exception(problem);
}

int thread_count() { return omp_get_max_threads(); }

void set_thread_count(int threads) { omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs()); }

}  // namespace spillway::workloads::compute
