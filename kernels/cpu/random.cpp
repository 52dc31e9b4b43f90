// Random numbers with PyTorch 2.13's values on the CPU (x86, checked against its Linux wheel):
//   uniform      float and 16-bit: (next32 & (2^24 - 1)) 2^-24 (b - a) + a in float with one
//                rounding for the multiply-add; double: 53 bits of next64. A result that rounds to
//                b becomes a.
//   normal       fewer than 16 elements, or not contiguous: one by one in double, Box-Muller with
//                the second value kept in the engine. Otherwise blocks of 16 (box_muller.h); with a
//                remainder the last 16 elements are drawn anew as one more block. 16-bit types
//                compute in float and draw nothing for the remainder first.
//   bernoulli    double uniform < p (MKL, which older versions used on Intel machines, is gone)
//   integer      next32 % range + low; next64 from range 2^28 on, against skew
//   exponential  -1 / rate * log1p(-double uniform)
//   permutation  swap i with i + next32 % (n - i) for i in [0, n - 1); from n = (2^32 - 1) / 20 on
//                inside-out with next64 % (i + 1)
// Elements are visited in memory order, as TensorIterator does. Draws are serial, so numbers do not
// depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>

#include "tarn/kernels/cpu/box_muller.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kChunk = 1024;

// Fills `out` from make(buffer, n), which writes the next n numbers as T.
template <class T, class Make>
void generate(const View& out, Make&& make) {
  const StridedLoop loop(out);
  const Converter store = converter(out.dtype, ScalarTypeOf<T>);
  const int64_t item = element_size(out.dtype);
  loop.run(0, loop.numel(), [&](int64_t n, char* const* p, const int64_t* stride) {
    T buffer[kChunk];
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t count = std::min(kChunk, n - i);
      make(buffer, count);
      store(p[0] + i * stride[0] * item, stride[0], buffer, 1, count);
    }
  });
}

// The 53 bits of a double uniform, from a pair of draws.
TARN_HD uint64_t bits53(const uint32_t* pair) {
  return (static_cast<uint64_t>(pair[0] & 0x1FFFFFu) << 32) | pair[1];
}

template <class Stored, bool kFma>
struct UniformFloatBody {
  TARN_HD static void run(float* out, const uint32_t* draws, int64_t n, float from, float to) {
    const float range = to - from, end = static_cast<float>(Stored(to));
    for (int64_t i = 0; i < n; ++i) {
      const float x = static_cast<float>(static_cast<int32_t>(draws[i] & 0xFFFFFFu)) * 0x1p-24f;
      const float value = fused<kFma>(x, range, from);
      out[i] = static_cast<float>(Stored(value)) == end ? from : value;
    }
  }
};

struct UniformDoubleBody {
  TARN_HD static void run(double* out, const uint32_t* draws, int64_t n, double from, double to) {
    const double range = to - from;
    for (int64_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(static_cast<int64_t>(bits53(draws + 2 * i))) * 0x1p-53;
      const double value = std::fma(x, range, from);
      out[i] = value == to ? from : value;
    }
  }
};

void uniform(RandomEngine& engine, double* out, int64_t n, double from, double to) {
  uint32_t draws[2 * kChunk];
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    engine.twister.fill(draws, 2 * count);
    const auto run =
        cpu_isa() == CpuIsa::Baseline
            ? &run_baseline<UniformDoubleBody, double*, const uint32_t*, int64_t, double, double>
            : &run_avx2<UniformDoubleBody, double*, const uint32_t*, int64_t, double, double>;
    run(out + i, draws, count, from, to);
  }
}

template <class Stored = float>
void uniform(RandomEngine& engine, float* out, int64_t n, float from, float to) {
  uint32_t draws[kChunk];
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    engine.twister.fill(draws, count);
    if (cpu_isa() == CpuIsa::Baseline) {
      run_baseline<UniformFloatBody<Stored, false>, float*, const uint32_t*>(out + i, draws, count,
                                                                             from, to);
    } else {
      run_avx2<UniformFloatBody<Stored, true>, float*, const uint32_t*>(out + i, draws, count, from,
                                                                        to);
    }
  }
}

void uniform(const RandomArgs& args) {
  RandomEngine& engine = *args.engine;
  const float from = static_cast<float>(args.a), to = static_cast<float>(args.b);
  switch (args.out.dtype) {
    case kDouble:
      return generate<double>(
          args.out, [&](double* out, int64_t n) { uniform(engine, out, n, args.a, args.b); });
    case kHalf:
      return generate<float>(
          args.out, [&](float* out, int64_t n) { uniform<Half>(engine, out, n, from, to); });
    case kBFloat16:
      return generate<float>(
          args.out, [&](float* out, int64_t n) { uniform<BFloat16>(engine, out, n, from, to); });
    default:
      return generate<float>(args.out,
                             [&](float* out, int64_t n) { uniform(engine, out, n, from, to); });
  }
}

double next_normal(RandomEngine& engine) {
  if (engine.has_next_normal) {
    engine.has_next_normal = false;
    return engine.next_normal;
  }
  const double u1 = engine.next_double(), u2 = engine.next_double();
  const double radius = std::sqrt(-2 * std::log1p(-u2)), theta = 2 * std::numbers::pi * u1;
  engine.next_normal = radius * std::sin(theta);
  engine.has_next_normal = true;
  return radius * std::cos(theta);
}

// Contiguous output of at least 16 elements. T is float or double, Stored what `out` holds.
template <class Stored, class T>
void normal_fill(RandomEngine& engine, Stored* out, int64_t numel, T mean, T deviation) {
  constexpr int64_t kPiece = 1 << 17;  // stays in the second-level cache
  constexpr int64_t kGrain = 1 << 11;  // blocks worth a thread
  const auto transform = [&](T* data, int64_t n) {
    parallel_for(0, n / kNormalBlock, kGrain, [&](int64_t begin, int64_t end) {
      normal_blocks(data + begin * kNormalBlock, end - begin, mean, deviation);
    });
  };
  if constexpr (std::is_same_v<Stored, T>) {
    for (int64_t i = 0; i < numel; i += kPiece) {
      const int64_t n = std::min(kPiece, numel - i);
      uniform(engine, out + i, n, T(0), T(1));
      transform(out + i, n);
    }
    if (numel % kNormalBlock != 0) {
      uniform(engine, out + numel - kNormalBlock, kNormalBlock, T(0), T(1));
      normal_blocks(out + numel - kNormalBlock, 1, mean, deviation);
    }
  } else {
    T buffer[kChunk];
    const auto make = [&](Stored* at, int64_t n) {
      uniform(engine, buffer, n, T(0), T(1));
      normal_blocks(buffer, n / kNormalBlock, mean, deviation);
      store_chunk(at, ScalarTypeOf<Stored>, 1, buffer, n);
    };
    const int64_t full = numel - numel % kNormalBlock;
    for (int64_t i = 0; i < full; i += kChunk) make(out + i, std::min(kChunk, full - i));
    if (full != numel) make(out + numel - kNormalBlock, kNormalBlock);
  }
}

void normal(const RandomArgs& args) {
  RandomEngine& engine = *args.engine;
  const int64_t numel = args.out.numel();
  const float mean = static_cast<float>(args.a), deviation = static_cast<float>(args.b);
  if (numel < kNormalBlock || !args.out.is_contiguous()) {
    return generate<double>(args.out, [&](double* out, int64_t n) {
      for (int64_t i = 0; i < n; ++i) out[i] = std::fma(next_normal(engine), args.b, args.a);
    });
  }
  switch (args.out.dtype) {
    case kDouble:
      return normal_fill(engine, args.out.as<double>(), numel, args.a, args.b);
    case kHalf:
      return normal_fill(engine, args.out.as<Half>(), numel, mean, deviation);
    case kBFloat16:
      return normal_fill(engine, args.out.as<BFloat16>(), numel, mean, deviation);
    default:
      return normal_fill(engine, args.out.as<float>(), numel, mean, deviation);
  }
}

struct BernoulliBody {
  TARN_HD static void run(uint8_t* out, const uint32_t* draws, int64_t n, int64_t threshold) {
    for (int64_t i = 0; i < n; ++i) {
      out[i] = static_cast<int64_t>(bits53(draws + 2 * i)) < threshold;
    }
  }
};

void bernoulli(const RandomArgs& args) {
  // k 2^-53 < p, in integers.
  const int64_t threshold = static_cast<int64_t>(std::ceil(std::clamp(args.a, 0.0, 1.0) * 0x1p53));
  const auto run = select_isa<BernoulliBody, uint8_t*, const uint32_t*, int64_t, int64_t>();
  generate<uint8_t>(args.out, [&](uint8_t* out, int64_t n) {
    uint32_t draws[2 * kChunk];
    args.engine->twister.fill(draws, 2 * n);
    run(out, draws, n, threshold);
  });
}

void integers(const RandomArgs& args) {
  const uint64_t low = static_cast<uint64_t>(args.low);
  const uint64_t range = static_cast<uint64_t>(args.high) - low;
  RandomEngine& engine = *args.engine;
  if (range < (uint64_t{1} << 28)) {
    const uint32_t narrow = static_cast<uint32_t>(range);
    return generate<int64_t>(args.out, [&](int64_t* out, int64_t n) {
      for (int64_t i = 0; i < n; ++i) out[i] = static_cast<int64_t>(low + engine.next32() % narrow);
    });
  }
  generate<int64_t>(args.out, [&](int64_t* out, int64_t n) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<int64_t>(low + engine.next64() % range);
  });
}

void exponential(const RandomArgs& args) {
  const double scale = -1 / args.a;
  generate<double>(args.out, [&](double* out, int64_t n) {
    for (int64_t i = 0; i < n; ++i) out[i] = scale * std::log1p(-args.engine->next_double());
  });
}

void permutation(const RandomArgs& args) {
  RandomEngine& engine = *args.engine;
  const int64_t n = args.out.numel();
  const bool direct = args.out.dtype == kLong && args.out.is_contiguous();
  std::unique_ptr<int64_t[]> buffer(direct ? nullptr : new int64_t[static_cast<size_t>(n)]);
  int64_t* order = direct ? args.out.as<int64_t>() : buffer.get();
  if (n < std::numeric_limits<uint32_t>::max() / 20) {
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = 0; i < n - 1; ++i) {
      std::swap(order[i], order[i + engine.next32() % static_cast<uint32_t>(n - i)]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      order[i] = i;
      std::swap(order[i], order[engine.next64() % static_cast<uint64_t>(i + 1)]);
    }
  }
  if (!direct && n > 0) store_chunk(args.out.data, args.out.dtype, args.out.strides[0], order, n);
}

}  // namespace

void random(const RandomArgs& args) {
  switch (args.kind) {
    case RandomKind::kUniform:
      return uniform(args);
    case RandomKind::kNormal:
      return normal(args);
    case RandomKind::kBernoulli:
      return bernoulli(args);
    case RandomKind::kInteger:
      return integers(args);
    case RandomKind::kExponential:
      return exponential(args);
    case RandomKind::kPermutation:
      return permutation(args);
  }
}

}  // namespace tarn::cpu
