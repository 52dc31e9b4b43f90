#pragma once
// What operator new was asked for, in the program of this folder's tests.

#include <cstddef>

namespace tarn::testing {

// The largest block operator new gave out since the last reset; always 0 under a sanitizer.
size_t largest_block();
void reset_largest_block();

}  // namespace tarn::testing
