// Random numbers from cuRAND's Philox4x32-10.
//
// The numbers of a tensor do not depend on the device or on how its kernel is launched. Its
// elements are dealt to T = min(numel rounded up to a multiple of 256, 270336) subsequences; each
// call of the generator gives a subsequence C numbers (4, or 2 of 64 bits), and the c-th number of
// call r of subsequence s is element (r C + c) T + s, in memory order. A draw takes 4 places of the
// offset per call:
//   uniform      float and 16-bit: curand_uniform4, in (0, 1], times (b - a), plus a; double:
//                curand_uniform2_double. A result that rounds to b becomes a
//   normal       curand_normal4 or curand_normal2_double, times b, plus a
//   bernoulli    a uniform number <= p
//   integer      curand4 % range + low; 64 bits (first word high) from range 2^28 on, against skew
//   exponential  -1 / rate * log(uniform), with -epsilon / 2 for the logarithm of numbers next to 1
//   permutation  0 .. n-1 in the order of 64-bit keys, equal keys by position
// All but the last two follow PyTorch's recipe, whose T is what the device can hold at once: 270336
// on an H100 or H200.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/radix_sort.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/op_math.h"

#include <curand_kernel.h>

namespace tarn::cuda {
namespace {

using Philox = curandStatePhilox4_32_10_t;

constexpr int64_t kMaxSubsequences = 270336;

// What a kernel knows of a draw. The elements of `index` are those from `first` on.
struct Draw {
  StridedIndex<1> index;
  void* out;
  ScalarType dtype;
  int64_t first;
  int64_t subsequences;
  CounterState state;
};

// value rounded to what `dtype` holds.
__device__ float rounded(ScalarType dtype, float value) {
  if (dtype == kHalf) return Half(value);
  return dtype == kBFloat16 ? static_cast<float>(BFloat16(value)) : value;
}
__device__ double rounded(ScalarType, double value) { return value; }

// The four or two uniform or normal numbers of a call.
template <class V>
struct Numbers {
  V v[sizeof(V) == 8 ? 2 : 4];
};
__device__ Numbers<float> make_numbers(const float4& x) { return {{x.x, x.y, x.z, x.w}}; }
__device__ Numbers<double> make_numbers(const double2& x) { return {{x.x, x.y}}; }
template <class V>
__device__ Numbers<V> draw_uniform(Philox* state) {
  if constexpr (sizeof(V) == 8)
    return make_numbers(curand_uniform2_double(state));
  else
    return make_numbers(curand_uniform4(state));
}

// Distributions: draw(state) gives the numbers of a call, finish() makes an element of one.
template <class V>
struct Uniform {
  using Value = V;
  V from, to;
  ScalarType dtype;
  __device__ static Numbers<V> draw(Philox* state) { return draw_uniform<V>(state); }
  __device__ V finish(V x) const {
    const V value = rounded(dtype, std::fma(x, to - from, from));
    return value == rounded(dtype, to) ? from : value;
  }
};
template <class V>
struct Normal {
  using Value = V;
  V mean, deviation;
  __device__ static Numbers<V> draw(Philox* state) {
    if constexpr (sizeof(V) == 8)
      return make_numbers(curand_normal2_double(state));
    else
      return make_numbers(curand_normal4(state));
  }
  __device__ V finish(V x) const { return std::fma(x, deviation, mean); }
};
template <class V>
struct Bernoulli {
  using Value = V;
  double p;
  __device__ static Numbers<V> draw(Philox* state) { return draw_uniform<V>(state); }
  __device__ V finish(V x) const { return x <= p ? V(1) : V(0); }
};
template <class V>
struct Exponential {
  using Value = V;
  V rate;
  __device__ static Numbers<V> draw(Philox* state) { return draw_uniform<V>(state); }
  __device__ V finish(V x) const {
    constexpr V kHalfStep = std::numeric_limits<V>::epsilon() / 2;
    return V(-1) / rate * (x >= 1 - kHalfStep ? -kHalfStep : math::log(x));
  }
};
struct Words {
  uint32_t v[4];
};
struct LongWords {
  uint64_t v[2];
};
__device__ LongWords draw_long(Philox* state) {
  const uint4 x = curand4(state);
  return {{uint64_t{x.x} << 32 | x.y, uint64_t{x.z} << 32 | x.w}};
}
struct Integer {
  using Value = int64_t;
  uint64_t low;
  uint32_t range;
  __device__ static Words draw(Philox* state) {
    const uint4 x = curand4(state);
    return {{x.x, x.y, x.z, x.w}};
  }
  __device__ int64_t finish(uint32_t x) const { return static_cast<int64_t>(x % range + low); }
};
struct LongInteger {
  using Value = int64_t;
  uint64_t low, range;
  __device__ static LongWords draw(Philox* state) { return draw_long(state); }
  __device__ int64_t finish(uint64_t x) const { return static_cast<int64_t>(x % range + low); }
};
// The keys of a permutation, whatever their bits mean.
struct Key {
  using Value = int64_t;
  __device__ static LongWords draw(Philox* state) { return draw_long(state); }
  __device__ int64_t finish(uint64_t x) const { return static_cast<int64_t>(x); }
};

template <class D>
inline constexpr int kNumbers = sizeof(D::draw(nullptr).v) / sizeof(D::draw(nullptr).v[0]);

// One thread per subsequence.
template <class D>
__global__ void generate_elements(Draw draw, D distribution) {
  using V = typename D::Value;
  constexpr int kCount = kNumbers<D>;
  const int64_t subsequence = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t end = draw.first + draw.index.count;
  const int64_t call_elements = draw.subsequences * kCount;
  const int64_t first_call = draw.first / call_elements;
  CounterBase base = draw.state.base;
  if (const CounterBase* const now = draw.state.on_device)
    base = {now->seed, base.offset + now->offset};
  Philox state;
  curand_init(base.seed, static_cast<unsigned long long>(subsequence),
              base.offset + 4 * static_cast<uint64_t>(first_call), &state);
  // To look up where an element belongs, and how to write it, takes longer than to draw it.
  const bool plain = draw.index.ndim == 1 && draw.dtype == ScalarTypeOf<V>;
  const int64_t step = draw.index.stride[0][0];
  for (int64_t start = first_call * call_elements; start < end; start += call_elements) {
    const auto numbers = D::draw(&state);
    if (plain && start >= draw.first && start + call_elements <= end) {
      V* const to = static_cast<V*>(draw.out) + (start - draw.first + subsequence) * step;
      for (int c = 0; c < kCount; ++c) {
        to[c * draw.subsequences * step] = distribution.finish(numbers.v[c]);
      }
      continue;
    }
    for (int c = 0; c < kCount; ++c) {
      const int64_t element = start + c * draw.subsequences + subsequence;
      if (element < draw.first || element >= end) continue;
      int64_t at[1];
      draw.index.offsets(static_cast<uint32_t>(element - draw.first), at);
      store<V>(draw.out, draw.dtype, at[0], distribution.finish(numbers.v[c]));
    }
  }
}

template <class D>
void generate(const View& out, RandomEngine& engine, const D& distribution) {
  const int64_t numel = out.numel();
  const int64_t blocks =
      std::min((numel + kBlockSize - 1) / kBlockSize, kMaxSubsequences / kBlockSize);
  Draw draw{.index = {},
            .out = nullptr,
            .dtype = out.dtype,
            .first = 0,
            .subsequences = blocks * kBlockSize,
            .state = {}};
  const int64_t calls = (numel - 1) / (draw.subsequences * kNumbers<D>)+1;
  draw.state = engine.take(static_cast<uint64_t>(4 * calls));
  const int64_t items[] = {element_size(out.dtype)};
  for_each_part<1>(StridedLoop(out), items, [&](const StridedIndex<1>& index, void* const* data) {
    draw.index = index;
    draw.out = data[0];
    launch(generate_elements<D>, static_cast<unsigned>(blocks), kBlockSize, 0, draw, distribution);
    draw.first += index.count;
  });
}

template <class V>
void generate_as(const RandomArgs& args) {
  const V a = static_cast<V>(args.a), b = static_cast<V>(args.b);
  switch (args.kind) {
    case RandomKind::kUniform:
      return generate(args.out, *args.engine, Uniform<V>{a, b, args.out.dtype});
    case RandomKind::kNormal:
      return generate(args.out, *args.engine, Normal<V>{a, b});
    case RandomKind::kBernoulli:
      return generate(args.out, *args.engine, Bernoulli<V>{args.a});
    default:
      return generate(args.out, *args.engine, Exponential<V>{a});
  }
}

void generate_integers(const RandomArgs& args) {
  const uint64_t low = static_cast<uint64_t>(args.low);
  const uint64_t range = static_cast<uint64_t>(args.high) - low;
  if (range < (uint64_t{1} << 28))
    return generate(args.out, *args.engine, Integer{low, static_cast<uint32_t>(range)});
  generate(args.out, *args.engine, LongInteger{low, range});
}

__global__ void number(uint32_t* positions, int64_t n) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    positions[i] = static_cast<uint32_t>(i);
}

__global__ void write_positions(void* out, ScalarType dtype, int64_t out_step,
                                const uint32_t* positions, int64_t n) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    store<int64_t>(out, dtype, i * out_step, positions[i]);
}

void permute(const RandomArgs& args) {
  const int64_t n = args.out.numel();
  check_sort_length("randperm", n);
  const auto count = static_cast<size_t>(n);
  const Scratch keys(2 * count * sizeof(uint64_t)), positions(2 * count * sizeof(uint32_t));
  const int64_t sizes[] = {n}, strides[] = {1};
  generate(View{keys.data(), sizes, strides, 1, kLong}, *args.engine, Key{});
  const SortPairs<uint64_t> data{keys.as<uint64_t>(), positions.as<uint32_t>()};
  launch(number, blocks_for(n), kBlockSize, 0, data.positions, n);
  const SortPairs<uint64_t> sorted =
      radix_sort(data, {data.keys + n, data.positions + n}, 1, n, 0, 64);
  launch(write_positions, blocks_for(n), kBlockSize, 0, args.out.data, args.out.dtype,
         args.out.strides[0], sorted.positions, n);
}

}  // namespace

void random(const RandomArgs& args) {
  if (args.out.numel() == 0) return;
  if (args.kind == RandomKind::kInteger) return generate_integers(args);
  if (args.kind == RandomKind::kPermutation) return permute(args);
  if (args.out.dtype == kDouble) return generate_as<double>(args);
  generate_as<float>(args);
}

}  // namespace tarn::cuda
