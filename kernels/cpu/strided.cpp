#include "tarn/kernels/cpu/strided.h"

#include "tarn/kernels/convert.h"
#include "tarn/kernels/cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tarn::cpu {

void StridedLoop::collapse(const View* const* views, LoopOrder order) {
  // Innermost first, without dimensions of size 1.
  int dims[kMaxDims];
  int n = 0;
  for (int d = views[0]->ndim - 1; d >= 0; --d) {
    if (views[0]->sizes[d] != 1) dims[n++] = d;
  }
  if (order == LoopOrder::kMemory) {
    // True when dimension a belongs outside of b. A stride of 0 says nothing.
    const auto outside = [&](int a, int b) {
      for (int k = 0; k < count_; ++k) {
        const int64_t sa = views[k]->strides[a], sb = views[k]->strides[b];
        if (sa == 0 || sb == 0 || sa == sb) continue;
        return sa > sb;
      }
      return false;
    };
    for (int i = 1; i < n; ++i) {
      for (int j = i; j > 0 && outside(dims[j - 1], dims[j]); --j) {
        std::swap(dims[j - 1], dims[j]);
      }
    }
  }
  ndim_ = 0;
  for (int i = 0; i < n; ++i) {
    const int64_t size = views[0]->sizes[dims[i]];
    bool joins = ndim_ > 0;
    for (int k = 0; k < count_ && joins; ++k) {
      const int64_t stride = views[k]->strides[dims[i]] * item_size_[k];
      joins = stride == strides_[ndim_ - 1][k] * sizes_[ndim_ - 1];
    }
    if (joins) {
      sizes_[ndim_ - 1] *= size;
      continue;
    }
    sizes_[ndim_] = size;
    for (int k = 0; k < count_; ++k) {
      strides_[ndim_][k] = views[k]->strides[dims[i]] * item_size_[k];
    }
    ++ndim_;
  }
  for (int k = 0; k < count_; ++k) inner_strides_[k] = strides_[0][k] / item_size_[k];
}

namespace {

template <class To, class From>
[[gnu::noinline]] void convert_strided(void* dst, int64_t dst_stride, const void* src,
                                       int64_t src_stride, int64_t n) {
  Stored<To>* out = static_cast<Stored<To>*>(dst);
  const Stored<From>* in = static_cast<const Stored<From>*>(src);
#pragma GCC unroll 1
  for (int64_t i = 0; i < n; ++i, out += dst_stride, in += src_stride) {
    *out = convert<To, From>(*in);
  }
}

template <class To, class From>
struct ConvertBody {
  TARN_HD static void run(void* dst, int64_t dst_stride, const void* src, int64_t src_stride,
                          int64_t n) {
    if (dst_stride != 1 || src_stride != 1) {
      return convert_strided<To, From>(dst, dst_stride, src, src_stride, n);
    }
    Stored<To>* out = static_cast<Stored<To>*>(dst);
    const Stored<From>* in = static_cast<const Stored<From>*>(src);
    for (int64_t i = 0; i < n; ++i) out[i] = convert<To, From>(in[i]);
  }
};

template <class T>
void copy_elements(void* dst, int64_t dst_stride, const void* src, int64_t src_stride, int64_t n) {
  T* out = static_cast<T*>(dst);
  const T* in = static_cast<const T*>(src);
  if (dst_stride == 1 && src_stride == 1) {
    if (out != in) std::memcpy(out, in, static_cast<size_t>(n) * sizeof(T));
  } else if (dst_stride == 1 && src_stride == 0) {
    std::fill_n(out, n, *in);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i * dst_stride] = in[i * src_stride];
  }
}

#if defined(__x86_64__)
// The processor's own conversions between Half and float.
TARN_TARGET_AVX2 void half_to_float(void* dst, int64_t dst_stride, const void* src,
                                    int64_t src_stride, int64_t n) {
  float* out = static_cast<float*>(dst);
  const Half* in = static_cast<const Half*>(src);
  int64_t i = 0;
  if (dst_stride == 1 && src_stride == 1) {
    for (; i + 8 <= n; i += 8) {
      const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
      _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
    }
  }
  for (; i < n; ++i) out[i * dst_stride] = in[i * src_stride];
}
TARN_TARGET_AVX2 void float_to_half(void* dst, int64_t dst_stride, const void* src,
                                    int64_t src_stride, int64_t n) {
  Half* out = static_cast<Half*>(dst);
  const float* in = static_cast<const float*>(src);
  int64_t i = 0;
  if (dst_stride == 1 && src_stride == 1) {
    for (; i + 8 <= n; i += 8) {
      const __m256 floats = _mm256_loadu_ps(in + i);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                       _mm256_cvtps_ph(floats, _MM_FROUND_TO_NEAREST_INT));
    }
  }
  for (; i < n; ++i) out[i * dst_stride] = Half(in[i * src_stride]);
}
#endif

}  // namespace

StridedLoop starts_of_lines(const View* const* views, int count, int dim) {
  int64_t sizes[kMaxDims];
  std::copy_n(views[0]->sizes, views[0]->ndim, sizes);
  if (views[0]->ndim > 0) sizes[dim] = 1;
  View starts[StridedLoop::kMaxOperands] = {};
  const View* pointers[StridedLoop::kMaxOperands] = {};
  for (int k = 0; k < count; ++k) {
    starts[k] = *views[k];
    starts[k].sizes = sizes;
    pointers[k] = &starts[k];
  }
  return StridedLoop(pointers, count);
}

Converter converter(ScalarType to, ScalarType from) {
  if (to == from) {
    return visit_size(element_size(to), []<class T>(T) -> Converter { return &copy_elements<T>; });
  }
#if defined(__x86_64__)
  if (cpu_isa() >= CpuIsa::Avx2) {
    if (to == kFloat && from == kHalf) return &half_to_float;
    if (to == kHalf && from == kFloat) return &float_to_half;
  }
#endif
  return visit(to, [&]<class To>(To) {
    return visit(from, [&]<class From>(From) -> Converter {
      using Body = ConvertBody<To, From>;
      // Kernels load into and store from a compute type; only those pairs are worth more code.
      constexpr bool kCommon = compute_type(ScalarTypeOf<To>) == ScalarTypeOf<To> ||
                               compute_type(ScalarTypeOf<From>) == ScalarTypeOf<From>;
      if constexpr (std::is_same_v<To, From>)
        return nullptr;
      else if constexpr (kCommon)
        return select_isa<Body, void*, int64_t, const void*, int64_t, int64_t>();
      else
        return &Body::run;
    });
  });
}

}  // namespace tarn::cpu
