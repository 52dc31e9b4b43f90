#include "tarn/tests/cuda_emulator/fiber.h"

#include <sys/mman.h>

#include <cstdlib>

#include "tarn/tests/cuda_emulator/executor.h"

// Other CPUs, and whoever asks for it, switch by the C library, some times slower.
#if !defined(__x86_64__) && !defined(TARN_EMULATOR_UCONTEXT)
#define TARN_EMULATOR_UCONTEXT
#endif
#if defined(TARN_EMULATOR_UCONTEXT)
#include <ucontext.h>
#endif
#if TARN_EMULATOR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if TARN_EMULATOR_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace cuda_emulator {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t stack_bytes = std::size_t{256} << 10;
#if TARN_EMULATOR_TSAN
constexpr unsigned no_ordering = 1;  // __tsan_switch_to_fiber_no_sync
#endif

// The host thread's side of a switch. One grid runs at a time, so there is one.
struct {
  void* context = nullptr;
  void* fake_stack = nullptr;
  const void* stack = nullptr;
  std::size_t stack_bytes = 0;
  void* tsan = nullptr;
} host;

}  // namespace

#if !defined(TARN_EMULATOR_UCONTEXT)
// Saves what a called function must keep, and goes on with what the other side saved.
extern "C" void tarn_emulator_switch(void** save, void* load);
asm(R"(
  .text
  .globl tarn_emulator_switch
  .type tarn_emulator_switch, @function
tarn_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size tarn_emulator_switch, . - tarn_emulator_switch
)");
#else
static void tarn_emulator_switch(void** save, void* load) {
  if (!*save) *save = std::calloc(1, sizeof(ucontext_t));
  swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(load));
}
#endif

Fiber* new_fiber(void (*entry)()) {
  auto* fiber = static_cast<Fiber*>(std::calloc(1, sizeof(Fiber)));
  void* memory = mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!fiber || memory == MAP_FAILED) fail("no memory for another CUDA thread's stack");
  mprotect(memory, page, PROT_NONE);
  fiber->stack = static_cast<char*>(memory) + page;
#if !defined(TARN_EMULATOR_UCONTEXT)
  auto** top = reinterpret_cast<void**>(fiber->stack + stack_bytes);
  *--top = nullptr;  // keeps the stack aligned as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = nullptr;
  fiber->context = top;
#else
  auto* context = static_cast<ucontext_t*>(std::calloc(1, sizeof(ucontext_t)));
  getcontext(context);
  context->uc_stack.ss_sp = fiber->stack;
  context->uc_stack.ss_size = stack_bytes;
  makecontext(context, entry, 0);
  fiber->context = context;
#endif
#if TARN_EMULATOR_TSAN
  fiber->tsan = __tsan_create_fiber(0);
#endif
  return fiber;
}

void enter(Fiber& fiber) {
#if TARN_EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&host.fake_stack, fiber.stack, stack_bytes);
#endif
#if TARN_EMULATOR_TSAN
  host.tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fiber.tsan, no_ordering);
#endif
  tarn_emulator_switch(&host.context, fiber.context);
#if TARN_EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(host.fake_stack, nullptr, nullptr);
#endif
}

void leave(Fiber& fiber) {
#if TARN_EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&fiber.fake_stack, host.stack, host.stack_bytes);
#endif
#if TARN_EMULATOR_TSAN
  __tsan_switch_to_fiber(host.tsan, no_ordering);
#endif
  tarn_emulator_switch(&fiber.context, host.context);
#if TARN_EMULATOR_ASAN
  // Another host thread may have entered this time.
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &host.stack, &host.stack_bytes);
#endif
}

void arrived() {
#if TARN_EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &host.stack, &host.stack_bytes);
#endif
}

void tsan_acquire([[maybe_unused]] void* address) {
#if TARN_EMULATOR_TSAN
  __tsan_acquire(address);
#endif
}

void tsan_release([[maybe_unused]] void* address) {
#if TARN_EMULATOR_TSAN
  __tsan_release(address);
#endif
}

}  // namespace cuda_emulator
