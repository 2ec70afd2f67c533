// Loops over independent pieces of work, spread over the processor's cores (OpenMP).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace spillway::workloads::compute {

/// Calls body(i) once for every i in [0, count), in any order and on any thread. What the pieces are must not depend on
/// the number of threads, so that results do not. The first exception (by i) is thrown again. Nested calls run in
/// place.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body);

[[nodiscard]] int thread_count();
/// Of the loops to come; 0 means one per core.
void set_thread_count(int threads);

/// Floats that nobody has set to anything.
class Scratch {
 public:
  explicit Scratch(std::int64_t count) : data_(new float[static_cast<std::size_t>(count)]) {}
  [[nodiscard]] float* get() const { return data_.get(); }

 private:
  std::unique_ptr<float[]> data_;
};

}  // namespace spillway::workloads::compute
