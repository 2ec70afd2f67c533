// Loops over independent pieces of work, spread over the processor's cores.
#pragma once

#include <cstdint>
#include <functional>

namespace spillway::workloads::compute {

/// Calls body(i) once for every i in [0, count), in any order and on any thread. What the pieces are must not depend on
/// the number of threads, so that results do not. The first exception (by i) is thrown again. Threads without a piece
/// of their own help with loops inside of another's piece, one level deep.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body);

[[nodiscard]] int thread_count();
/// Of the loops to come, in the whole process; 0 means one per core.
void set_thread_count(int threads);

/// Floats that nobody has set to anything. Freed ones are kept for the thread's next: fresh pages are slow to come by.
class Scratch {
 public:
  explicit Scratch(std::int64_t count);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  Scratch& operator=(Scratch&&) = delete;

  [[nodiscard]] float* get() const { return data_; }

 private:
  float* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace spillway::workloads::compute
