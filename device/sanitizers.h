// Which sanitizer this build runs under, in the words of either compiler: 1 or 0.
#pragma once

#if defined(__has_feature)
#define TARN_HAS_FEATURE(feature) __has_feature(feature)
#else
#define TARN_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TARN_HAS_FEATURE(address_sanitizer)
#define TARN_ADDRESS_SANITIZER 1
#else
#define TARN_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || TARN_HAS_FEATURE(thread_sanitizer)
#define TARN_THREAD_SANITIZER 1
#else
#define TARN_THREAD_SANITIZER 0
#endif

#undef TARN_HAS_FEATURE
