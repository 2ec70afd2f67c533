#include "workloads/compute/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace spillway::workloads::compute {

namespace {

thread_local int depth = 0;        // of the loop that this thread works in; 0 outside
constexpr int kDeepestShared = 2;  // loops further inside run in place

/// One loop. Whoever comes takes the next piece; the caller does not wait for threads that never came.
class Loop {
 public:
  Loop(std::int64_t count, const std::function<void(std::int64_t)>& body)
      : count_(count), body_(body), depth_(compute::depth + 1) {}

  void work() {
    const int outside = std::exchange(compute::depth, depth_);
    for (std::int64_t i = next_++; i < count_; i = next_++) {
      try {
        body_(i);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (i < problem_at_) {
          problem_at_ = i;
          problem_ = std::current_exception();
        }
      }
    }
    compute::depth = outside;
  }
  void rethrow() const {
    if (problem_) std::rethrow_exception(problem_);
  }
  [[nodiscard]] int depth() const { return depth_; }
  [[nodiscard]] bool has_pieces() const { return next_ < count_; }

  std::atomic<int> guests = 0;  ///< threads of the pool that are in it; they come only while the pool is locked

 private:
  const std::int64_t count_;
  const std::function<void(std::int64_t)>& body_;
  const int depth_;
  std::atomic<std::int64_t> next_ = 0;
  std::mutex mutex_;
  std::exception_ptr problem_;
  std::int64_t problem_at_ = std::numeric_limits<std::int64_t>::max();
};

/// Threads that wait for loops. One for the process, since there is one set of cores. Started when first needed; a
/// forked child has none of them and does all the work itself.
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  [[nodiscard]] int size() const { return size_; }
  void resize(int threads) {
    const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    size_ = threads > 0 ? threads : cores;
  }

  void run(Loop& loop) {
    {
      const std::lock_guard lock(mutex_);
      while (static_cast<int>(threads_.size()) + 1 < size_) {
        threads_.emplace_back([this, place = static_cast<int>(threads_.size()) + 1] { serve(place); });
      }
      open_.push_back(&loop);
      announce();
    }
    loop.work();
    std::unique_lock lock(mutex_);
    std::erase(open_, &loop);  // nobody else may come
    // Who waits for guests helps with the loops inside of theirs, but begins nothing that may take longer.
    while (loop.guests != 0) {
      if (!help(lock, loop.depth() + 1)) await(lock, [&] { return loop.guests == 0; });
    }
  }

 private:
  Pool() { resize(0); }

  void serve(int place) {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (place >= size_ || !help(lock, 1)) await(lock, [this]() -> bool { return stop_; });
    }
  }

  /// Works in an open loop of at least that depth, the innermost first; false if there is none.
  bool help(std::unique_lock<std::mutex>& lock, int least_depth) {
    Loop* chosen = nullptr;
    for (Loop* loop : open_) {
      if (loop->depth() < least_depth || !loop->has_pieces()) continue;
      if (chosen == nullptr || loop->depth() > chosen->depth()) chosen = loop;
    }
    if (chosen == nullptr) return false;
    ++chosen->guests;
    lock.unlock();
    chosen->work();
    lock.lock();
    if (--chosen->guests == 0) announce();
    return true;
  }

  /// Until something has changed or is done.
  template <typename Done>
  void await(std::unique_lock<std::mutex>& lock, const Done& done) {
    const std::uint64_t seen = changes_;
    // The next loop often comes at once.
    lock.unlock();
    for (int i = 0; i < kSpins && changes_ == seen && !done(); ++i) __builtin_ia32_pause();
    lock.lock();
    ++sleepers_;
    changed_.wait(lock, [&] { return changes_ != seen || done(); });
    --sleepers_;
  }

  /// Locked.
  void announce() {
    ++changes_;
    if (sleepers_ > 0) changed_.notify_all();
  }

  // Some 600 microseconds: serial stretches between loops are shorter, and an idle core takes long to wake up.
  static constexpr int kSpins = 10000;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
  std::vector<Loop*> open_;
  std::atomic<int> size_ = 1;
  std::atomic<bool> stop_ = false;
  int sleepers_ = 0;
  std::atomic<std::uint64_t> changes_ = 0;  // loops opened, last guests gone
};

/// Freed blocks of a thread.
struct Blocks {
  struct Block {
    float* data;
    std::size_t bytes;
  };
  std::vector<Block> free;
  ~Blocks() {
    for (const Block& block : free) std::free(block.data);
  }
};
thread_local Blocks blocks;

constexpr std::size_t kKeptBlocks = 8;
constexpr std::size_t kKeptBytes = std::size_t{16} << 20;  // of one block

}  // namespace

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  if (count > 1 && depth < kDeepestShared && Pool::instance().size() > 1) {
    Loop loop(count, body);
    Pool::instance().run(loop);
    return loop.rethrow();
  }
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

int thread_count() { return Pool::instance().size(); }
void set_thread_count(int threads) { Pool::instance().resize(threads); }

Scratch::Scratch(std::int64_t count) : bytes_((static_cast<std::size_t>(count) * sizeof(float) / 64 + 1) * 64) {
  auto& free = blocks.free;
  std::size_t best = free.size();
  for (std::size_t i = 0; i < free.size(); ++i) {
    if (free[i].bytes >= bytes_ && (best == free.size() || free[i].bytes < free[best].bytes)) best = i;
  }
  if (best < free.size()) {
    data_ = free[best].data;
    bytes_ = free[best].bytes;
    free.erase(free.begin() + static_cast<std::ptrdiff_t>(best));
    return;
  }
  data_ = static_cast<float*>(std::aligned_alloc(64, bytes_));
  if (data_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() {
  if (data_ == nullptr) return;
  auto& free = blocks.free;
  if (bytes_ > kKeptBytes) {
    std::free(data_);
    return;
  }
  if (free.size() == kKeptBlocks) {  // the smallest goes
    const auto least =
        std::min_element(free.begin(), free.end(), [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
    std::free(least->data);
    free.erase(least);
  }
  free.push_back({data_, bytes_});
}

}  // namespace spillway::workloads::compute
