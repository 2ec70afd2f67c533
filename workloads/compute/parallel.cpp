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
#include <vector>

namespace spillway::workloads::compute {

namespace {

thread_local bool inside = false;  // of a loop: another one runs in place

/// One loop. Whoever comes takes the next piece; the caller does not wait for threads that never came.
class Loop {
 public:
  Loop(std::int64_t count, const std::function<void(std::int64_t)>& body) : count_(count), body_(body) {}

  void work() {
    inside = true;
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
    inside = false;
  }
  void rethrow() const {
    if (problem_) std::rethrow_exception(problem_);
  }

 private:
  const std::int64_t count_;
  const std::function<void(std::int64_t)>& body_;
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
    called_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  [[nodiscard]] int size() const { return size_; }
  void resize(int threads) {
    const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    size_ = threads > 0 ? threads : cores;
  }

  /// False if another loop is running.
  bool run(Loop& loop) {
    const std::unique_lock owner(busy_, std::try_to_lock);
    if (!owner.owns_lock()) return false;
    {
      const std::lock_guard lock(mutex_);
      while (static_cast<int>(threads_.size()) + 1 < size_) threads_.emplace_back([this] { serve(); });
      loop_ = &loop;
      places_ = size_ - 1;
      ++calls_;
    }
    called_.notify_all();
    loop.work();
    std::unique_lock lock(mutex_);
    loop_ = nullptr;  // nobody else may come
    if (guests_ == 0) return true;
    lock.unlock();
    for (int i = 0; i < kSpins && guests_ != 0; ++i) __builtin_ia32_pause();
    lock.lock();
    left_.wait(lock, [this] { return guests_ == 0; });
    return true;
  }

 private:
  Pool() { resize(0); }

  void serve() {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
      if (calls_ == seen && !stop_) {
        // The next loop often comes at once.
        lock.unlock();
        for (int i = 0; i < kSpins && calls_ == seen; ++i) __builtin_ia32_pause();
        lock.lock();
      }
      called_.wait(lock, [&] { return stop_ || calls_ != seen; });
      if (stop_) return;
      seen = calls_;
      if (loop_ == nullptr || places_ == 0) continue;
      Loop& loop = *loop_;
      --places_;
      ++guests_;
      lock.unlock();
      loop.work();
      lock.lock();
      if (--guests_ == 0) left_.notify_one();
    }
  }

  static constexpr int kSpins = 2000;  // some 50 microseconds

  std::mutex busy_;  // held while a loop runs
  std::mutex mutex_;
  std::condition_variable called_, left_;
  std::vector<std::thread> threads_;
  std::atomic<int> size_ = 1;
  bool stop_ = false;
  Loop* loop_ = nullptr;
  int places_ = 0;
  std::atomic<int> guests_ = 0;
  std::atomic<std::uint64_t> calls_ = 0;
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
  if (count > 1 && !inside && Pool::instance().size() > 1) {
    Loop loop(count, body);
    if (Pool::instance().run(loop)) return loop.rethrow();
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
