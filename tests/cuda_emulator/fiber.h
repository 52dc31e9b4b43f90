#pragma once
// Stacks to switch between, known to AddressSanitizer and ThreadSanitizer. Like the executor, built
// without instrumentation: a switch in the middle of instrumented code would confuse both.
#include <cstddef>

#ifndef TARN_EMULATOR_TSAN
#define TARN_EMULATOR_TSAN 0
#endif
#ifndef TARN_EMULATOR_ASAN
#define TARN_EMULATOR_ASAN 0
#endif

namespace cuda_emulator {

struct Fiber {
  void* context;     ///< the saved stack pointer, or a ucontext_t
  char* stack;       ///< its lowest usable byte; a page without access lies below
  void* fake_stack;  ///< AddressSanitizer's
  void* tsan;        ///< ThreadSanitizer's
};

/// A fiber that will run `entry`, which never returns.
Fiber* new_fiber(void (*entry)());
/// The scheduler, on the host thread's own stack, lets the fiber run until it calls leave().
void enter(Fiber& fiber);
void leave(Fiber& fiber);
/// The first thing `entry` does.
void arrived();

/// Everything before release(x) happens before everything after acquire(x). Switching fibers by
/// itself orders nothing, so that ThreadSanitizer sees a race between two CUDA threads.
void tsan_acquire(void* address);
void tsan_release(void* address);

}  // namespace cuda_emulator
