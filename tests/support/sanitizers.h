#pragma once
// Which sanitizer this build runs under, for tests of memory use that a sanitizer changes.

#ifndef __has_feature
#define TARN_TEST_HAS_FEATURE(feature) 0
#else
#define TARN_TEST_HAS_FEATURE(feature) __has_feature(feature)
#endif

namespace tarn::testing {

#if defined(__SANITIZE_ADDRESS__) || TARN_TEST_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__) || TARN_TEST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

}  // namespace tarn::testing
