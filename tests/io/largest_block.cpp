// A file of its own: where g++ can inline one half of a replaced new and delete pair into its
// callers, it takes the pair for mismatched.
#include "tarn/tests/io/largest_block.h"

#include <cstdlib>
#include <new>

#include "tarn/device/sanitizers.h"

namespace {

size_t largest = 0;

}  // namespace

#if !TARN_ADDRESS_SANITIZER && !TARN_THREAD_SANITIZER
// Every form of new ends in these two; sanitizers bring their own.
void* operator new(size_t size) {
  if (size > largest) largest = size;
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
#endif

namespace tarn::testing {

size_t largest_block() { return largest; }
void reset_largest_block() { largest = 0; }

}  // namespace tarn::testing
