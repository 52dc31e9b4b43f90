#pragma once
// Which sanitizer this build runs under, for tests of memory use that a sanitizer changes.
#include "tarn/device/sanitizers.h"

namespace tarn::testing {

inline constexpr bool kAddressSanitizer = TARN_ADDRESS_SANITIZER;
inline constexpr bool kThreadSanitizer = TARN_THREAD_SANITIZER;

}  // namespace tarn::testing
