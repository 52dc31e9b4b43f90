// The vectors of each instruction set as gemm_kernels.inc needs them, and the kernels made from
// them.
//
// Each namespace has Lanes<T>: the vector type V, its length, the type M of masks;
//   splat(x), madd(a, b, c) = a * b + c
//   first_lanes<T>(n)             the mask of the lanes below n, for any n
//   load(p), load(p, mask)        a lane outside the mask touches no memory and is 0
//   store(p, v), store(p, v, mask)
//   load_quads(p, stride)         four elements each from p, p + stride, ..., side by side
// and kFreeMasks (a masked load or store costs no more than a full one), and the most rows of C
// whose sums fit the registers: kRows when two vectors wide, kWideRows when four.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tarn/device/allocator.h"
#include "tarn/kernels/cpu/gemm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tarn::cpu {

// One instruction set's ways to run the same problem on one thread.
template <class T>
struct GemmKernels {
  int rows, cols;                        // of C kept in registers
  void (*direct)(const GemmArgs<T>&);    // b_col == 1; reads A and B where they are
  void (*streamed)(const GemmArgs<T>&);  // the same, for B larger than the caches
  void (*dot)(const GemmArgs<T>&);       // a_col == 1 and b_row == 1; reads A and B where they are
  void (*packed)(const GemmArgs<T>&);    // any strides; copies blocks of A and B into panels first
};

// Memory for packed panels, given back at the end of the scope.
template <class T>
struct Scratch {
  explicit Scratch(int64_t count)
      : bytes(static_cast<size_t>(count) * sizeof(T)), data(static_cast<T*>(allocate(bytes))) {}
  ~Scratch() { deallocate(data, bytes); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const size_t bytes;
  T* const data;
};

#define TARN_GEMM_INLINE [[gnu::always_inline]] inline

#if defined(__x86_64__)

namespace gemm_avx512 {
#define TARN_GEMM_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2")))
inline constexpr int kRows = 14;
inline constexpr int kWideRows = 6;
inline constexpr bool kFreeMasks = true;
template <class T>
struct Lanes {
  static constexpr int kCount = 64 / static_cast<int>(sizeof(T));
  typedef T V __attribute__((vector_size(64)));
  using M = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;
};
template <class T>
using Mask = typename Lanes<T>::M;
using Vf = Lanes<float>::V;
using Vd = Lanes<double>::V;

template <class T>
TARN_GEMM_INLINE TARN_GEMM_TARGET Mask<T> first_lanes(int64_t n) {
  const auto count = static_cast<unsigned>(std::clamp<int64_t>(n, 0, Lanes<T>::kCount));
  return static_cast<Mask<T>>(_bzhi_u32(~0u, count));
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf splat(float x) { return _mm512_set1_ps(x); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd splat(double x) { return _mm512_set1_pd(x); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf madd(Vf a, Vf b, Vf c) { return _mm512_fmadd_ps(a, b, c); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd madd(Vd a, Vd b, Vd c) { return _mm512_fmadd_pd(a, b, c); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf load(const float* p) { return _mm512_loadu_ps(p); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd load(const double* p) { return _mm512_loadu_pd(p); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf load(const float* p, __mmask16 m) {
  return _mm512_maskz_loadu_ps(m, p);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd load(const double* p, __mmask8 m) {
  return _mm512_maskz_loadu_pd(m, p);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(float* p, Vf v) { _mm512_storeu_ps(p, v); }
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(double* p, Vd v) { _mm512_storeu_pd(p, v); }
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(float* p, Vf v, __mmask16 m) {
  _mm512_mask_storeu_ps(p, m, v);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(double* p, Vd v, __mmask8 m) {
  _mm512_mask_storeu_pd(p, m, v);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf load_quads(const float* p, int64_t stride) {
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + stride), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * stride), 2);
  return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * stride), 3);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd load_quads(const double* p, int64_t stride) {
  return __builtin_shufflevector(_mm256_loadu_pd(p), _mm256_loadu_pd(p + stride), 0, 1, 2, 3, 4, 5,
                                 6, 7);
}
#include "tarn/kernels/cpu/gemm_kernels.inc"
#undef TARN_GEMM_TARGET
}  // namespace gemm_avx512

namespace gemm_avx2 {
#define TARN_GEMM_TARGET __attribute__((target("avx2,fma,f16c,bmi2")))
inline constexpr int kRows = 6;
inline constexpr int kWideRows = 2;
inline constexpr bool kFreeMasks = false;
template <class T>
struct Lanes {
  static constexpr int kCount = 32 / static_cast<int>(sizeof(T));
  typedef T V __attribute__((vector_size(32)));
  typedef __m256i M;
};
template <class T>
using Mask = typename Lanes<T>::M;
using Vf = Lanes<float>::V;
using Vd = Lanes<double>::V;

template <class T>
TARN_GEMM_INLINE TARN_GEMM_TARGET Mask<T> first_lanes(int64_t n) {
  const int64_t count = std::clamp<int64_t>(n, 0, Lanes<T>::kCount);
  if constexpr (sizeof(T) == 4) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  } else {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  }
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf splat(float x) { return _mm256_set1_ps(x); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd splat(double x) { return _mm256_set1_pd(x); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf madd(Vf a, Vf b, Vf c) { return _mm256_fmadd_ps(a, b, c); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd madd(Vd a, Vd b, Vd c) { return _mm256_fmadd_pd(a, b, c); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf load(const float* p) { return _mm256_loadu_ps(p); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd load(const double* p) { return _mm256_loadu_pd(p); }
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf load(const float* p, __m256i m) {
  return _mm256_maskload_ps(p, m);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd load(const double* p, __m256i m) {
  return _mm256_maskload_pd(p, m);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(float* p, Vf v) { _mm256_storeu_ps(p, v); }
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(double* p, Vd v) { _mm256_storeu_pd(p, v); }
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(float* p, Vf v, __m256i m) {
  _mm256_maskstore_ps(p, m, v);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET void store(double* p, Vd v, __m256i m) {
  _mm256_maskstore_pd(p, m, v);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vf load_quads(const float* p, int64_t stride) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + stride), 1);
}
TARN_GEMM_INLINE TARN_GEMM_TARGET Vd load_quads(const double* p, int64_t) { return load(p); }
#include "tarn/kernels/cpu/gemm_kernels.inc"
#undef TARN_GEMM_TARGET
}  // namespace gemm_avx2

#endif  // __x86_64__

namespace gemm_baseline {
#define TARN_GEMM_TARGET
#if defined(__aarch64__)
inline constexpr int kRows = 8;  // of 32 vector registers
inline constexpr int kWideRows = 4;
#else
inline constexpr int kRows = 4;  // of 16
inline constexpr int kWideRows = 2;
#endif
inline constexpr bool kFreeMasks = false;
template <class T>
struct Lanes {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(T));
  typedef T V __attribute__((vector_size(16)));
  typedef T Unaligned __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
  using M = int;  // how many lanes
};
template <class T>
using Mask = typename Lanes<T>::M;
using Vf = Lanes<float>::V;
using Vd = Lanes<double>::V;

TARN_GEMM_INLINE Vf splat(float x) { return Vf{x, x, x, x}; }
TARN_GEMM_INLINE Vd splat(double x) { return Vd{x, x}; }
template <class V>
TARN_GEMM_INLINE V madd(V a, V b, V c) {
  return a * b + c;
}
template <class T>
TARN_GEMM_INLINE int first_lanes(int64_t n) {
  return static_cast<int>(std::clamp<int64_t>(n, 0, Lanes<T>::kCount));
}
template <class T>
TARN_GEMM_INLINE typename Lanes<T>::V load(const T* p) {
  return *reinterpret_cast<const typename Lanes<T>::Unaligned*>(p);
}
template <class T>
TARN_GEMM_INLINE typename Lanes<T>::V load(const T* p, int count) {
  typename Lanes<T>::V v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
template <class T>
TARN_GEMM_INLINE void store(T* p, typename Lanes<T>::V v) {
  *reinterpret_cast<typename Lanes<T>::Unaligned*>(p) = v;
}
template <class T>
TARN_GEMM_INLINE void store(T* p, typename Lanes<T>::V v, int count) {
  for (int i = 0; i < count; ++i) p[i] = v[i];
}
TARN_GEMM_INLINE Vf load_quads(const float* p, int64_t) { return load(p); }
#include "tarn/kernels/cpu/gemm_kernels.inc"
#undef TARN_GEMM_TARGET
}  // namespace gemm_baseline

}  // namespace tarn::cpu
