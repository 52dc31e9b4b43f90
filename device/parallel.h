#pragma once
// parallel_for: one loop split over Tarn's threads. OpenMP underneath (the runtime oneDNN shares);
// the program's own OpenMP settings are neither used nor changed.

#include <cstdint>
#include <type_traits>

namespace tarn {

// Threads a parallel_for may use, the calling one included. Starts as OMP_NUM_THREADS if that is a
// positive number, else the CPUs this process may run on.
int get_num_threads() noexcept;
// Holds for the whole process, from the next parallel_for on. Throws ValueError unless n is in
// 1..1024.
void set_num_threads(int n);

// True inside the function given to a parallel_for that uses more than one thread, under a
// SerialGuard, and inside any other OpenMP parallel region of the program. A parallel_for called
// there runs inline.
bool in_parallel_region() noexcept;

// While one lives, every parallel_for of the calling thread runs inline. For threads of one's own
// that work side by side.
class SerialGuard {
 public:
  SerialGuard() noexcept;
  ~SerialGuard();
  SerialGuard(const SerialGuard&) = delete;
  SerialGuard& operator=(const SerialGuard&) = delete;

 private:
  const bool outer_;
};

namespace detail {

using RangeFunction = void (*)(void* context, int64_t begin, int64_t end);
void run_parallel(int64_t begin, int64_t count, int chunks, RangeFunction call, void* context);

}  // namespace detail

// Calls f(b, e) on consecutive pieces [b, e) that cover [begin, end) exactly once, in parallel if
// the range is longer than `grain`; otherwise f(begin, end) runs inline in the caller. `grain` is
// the number of items worth a thread of its own; below 1 it counts as 1. An empty range calls
// nothing.
//   - There are min(threads, ceil(count / grain)) pieces, equal in length to within one item. They
//     depend on nothing else, so a sum made of one partial sum per piece repeats to the last bit.
//   - The first exception f throws reaches the caller, after all started pieces have ended; pieces
//     not yet started are skipped.
//   - f runs without a copy and without an allocation; it must allow calls from several threads.
template <typename F>
void parallel_for(int64_t begin, int64_t end, int64_t grain, F&& f) {
  if (begin >= end) return;
  const int64_t count = end - begin;
  if (count <= grain || in_parallel_region()) return static_cast<void>(f(begin, end));
  if (grain < 1) grain = 1;
  const int64_t threads = get_num_threads();
  const int64_t grains = (count - 1) / grain + 1;
  const int64_t chunks = grains < threads ? grains : threads;
  if (chunks == 1) return static_cast<void>(f(begin, end));
  using Function = std::remove_reference_t<F>;
  detail::run_parallel(
      begin, count, static_cast<int>(chunks),
      [](void* context, int64_t b, int64_t e) { (*static_cast<Function*>(context))(b, e); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace tarn
