#include "tarn/device/parallel.h"

#include <atomic>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

#include "tarn/device/check.h"
#include "tarn/device/sanitizers.h"

#ifdef __linux__
#include <sched.h>
#endif

// ThreadSanitizer cannot see into the OpenMP runtime and would report races that its barriers
// exclude, so a TSan build, like a build without OpenMP, starts plain threads for every region.
#if defined(_OPENMP) && !TARN_THREAD_SANITIZER
#define TARN_USE_OPENMP 1
#include <omp.h>
#endif

namespace tarn {

namespace {

// libgomp ends the process when it cannot start a thread, so the number has a bound.
constexpr int kMaxThreads = 1024;

// 0 until first asked for.
std::atomic<int> num_threads{0};

thread_local constinit bool inside_region = false;

int usable_cpus() {
#ifdef __linux__
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) return CPU_COUNT(&cpus);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

int default_num_threads() {
  int threads = 0;
  // OMP_NUM_THREADS may be a list, one number per nesting level; the first is the outermost.
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    char* rest = nullptr;
    const long value = std::strtol(text, &rest, 10);
    if (rest != text && (*rest == '\0' || *rest == ',') && value > 0) {
      threads = static_cast<int>(value < kMaxThreads ? value : kMaxThreads);
    }
  }
  if (threads == 0) threads = usable_cpus();
  return threads < 1 ? 1 : threads > kMaxThreads ? kMaxThreads : threads;
}

// One parallel region: its pieces, and the first exception any of them threw.
class Region {
 public:
  Region(int64_t begin, int64_t count, int chunks, detail::RangeFunction call, void* context)
      : begin_(begin), count_(count), chunks_(chunks), call_(call), context_(context) {}

  // Runs pieces first, first + step, ...
  void run(int first, int step) noexcept {
    const bool outer = inside_region;
    inside_region = true;
    for (int i = first; i < chunks_; i += step) {
      if (failed_.load(std::memory_order_relaxed)) break;
      try {
        call_(context_, piece_begin(i), piece_begin(i + 1));
      } catch (...) {
        if (!failed_.exchange(true)) error_ = std::current_exception();
      }
    }
    inside_region = outer;
  }

  // To be called once every run() has returned.
  void rethrow() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  int64_t piece_begin(int64_t i) const {
    const int64_t length = count_ / chunks_, longer = count_ % chunks_;
    return begin_ + i * length + (i < longer ? i : longer);
  }

  const int64_t begin_, count_;
  const int chunks_;
  const detail::RangeFunction call_;
  void* const context_;
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
};

}  // namespace

int get_num_threads() noexcept {
  int threads = num_threads.load(std::memory_order_relaxed);
  if (threads == 0) [[unlikely]] {
    // A set_num_threads of another thread in between wins.
    const int chosen = default_num_threads();
    threads = num_threads.compare_exchange_strong(threads, chosen) ? chosen : threads;
  }
  return threads;
}

void set_num_threads(int n) {
  if (n < 1 || n > kMaxThreads) {
    throw ValueError(str("[set_num_threads] expected a positive number of threads, at most ",
                         kMaxThreads, ", got ", n));
  }
  num_threads.store(n, std::memory_order_relaxed);
}

bool in_parallel_region() noexcept {
#if TARN_USE_OPENMP
  return inside_region || omp_in_parallel();
#else
  return inside_region;
#endif
}

SerialGuard::SerialGuard() noexcept : outer_(inside_region) { inside_region = true; }

SerialGuard::~SerialGuard() { inside_region = outer_; }

#if TARN_USE_OPENMP

void detail::run_parallel(int64_t begin, int64_t count, int chunks, RangeFunction call,
                          void* context) {
  Region region(begin, count, chunks, call, context);
  // The runtime may grant fewer threads than asked for, hence the step.
#pragma omp parallel num_threads(chunks)
  region.run(omp_get_thread_num(), omp_get_num_threads());
  region.rethrow();
}

#else

void detail::run_parallel(int64_t begin, int64_t count, int chunks, RangeFunction call,
                          void* context) {
  Region region(begin, count, chunks, call, context);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(chunks));
  int started = 1;
  try {
    for (; started < chunks; ++started) {
      threads.emplace_back([&region, started, chunks] { region.run(started, chunks); });
    }
  } catch (const std::system_error&) {
    // No more threads to be had: the caller runs the rest itself.
    for (int i = started; i < chunks; ++i) region.run(i, chunks);
  }
  region.run(0, chunks);
  for (std::thread& thread : threads) thread.join();
  region.rethrow();
}

#endif

}  // namespace tarn
