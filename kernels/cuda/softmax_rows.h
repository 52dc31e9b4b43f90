// How a few threads that share a row of a softmax read it: once into their registers or, if it is
// too long for them, for what they must know of all its elements and once more for the results.
#pragma once

#include <limits>

#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/op_math.h"

namespace tarn::cuda {

inline constexpr int kUnroll = 4;  // elements of a thread on their way at once
inline constexpr int kRun = 16;    // times kUnroll elements are summed before sums are

// The largest of some elements and the sum of e^(x - largest).
template <class V>
struct Exponentials {
  V largest, sum;

  TARN_HD static Exponentials none() { return {-std::numeric_limits<V>::infinity(), V(0)}; }
  // e^(x - largest). The sum of many -infinity stays finite, to be multiplied by 0 once there is
  // anything larger, but one +infinity makes NaN, as in PyTorch.
  TARN_HD static V scaled(V x, V largest) {
    return x == largest && x < std::numeric_limits<V>::infinity() ? V(1) : math::exp(x - largest);
  }
  TARN_HD static Exponentials merge(const Exponentials& a, const Exponentials& b) {
    const V largest = b.largest > a.largest ? b.largest : a.largest;
    return {largest, a.sum * scaled(a.largest, largest) + b.sum * scaled(b.largest, largest)};
  }
  // NaN is passed over as the largest; it comes back in the sum.
  TARN_HD void add(const V (&x)[kUnroll]) {
    V top = largest;
    for (int j = 0; j < kUnroll; ++j) top = x[j] > top ? x[j] : top;
    sum *= scaled(largest, top);
    for (int j = 0; j < kUnroll; ++j) sum += scaled(x[j], top);
    largest = top;
  }
};

template <class V>
struct Total {
  V sum;

  TARN_HD static Total none() { return {V(0)}; }
  TARN_HD static Total merge(const Total& a, const Total& b) { return {a.sum + b.sum}; }
  TARN_HD void add(const V (&x)[kUnroll]) {
    for (int j = 0; j < kUnroll; ++j) sum += x[j];
  }
};

// Reads the elements that the calling thread holds from row[i * step]; where the row of n elements
// has ended, values[j] is `pad`. vector: by 16 bytes at once, which divide the row. `pad` is put in
// place before each load: chosen after it, every load waits for the one before.
template <class T, class V, int kHeld>
__device__ void load_held(const BlockShape& block, int n, bool vector, const T* row, int64_t step,
                          V pad, V (&values)[kHeld]) {
  constexpr int kSize = Vec<T>::kSize;
  const int place = block.place(static_cast<int>(threadIdx.x));
  if (vector) {
    TARN_UNROLL
    for (int u = 0; u < kHeld / kSize; ++u) {
      const int i = (place + u * block.depth) * kSize;
      Vec<T> some;
      for (T& element : some.v) element = T(pad);
      if (i < n) some = *reinterpret_cast<const Vec<T>*>(row + i);
      for (int j = 0; j < kSize; ++j) values[u * kSize + j] = V(some.v[j]);
    }
  } else {
    TARN_UNROLL
    for (int j = 0; j < kHeld; ++j) {
      const int i = place + j * block.depth;
      T some = T(pad);
      if (i < n) some = row[i * step];
      values[j] = V(some);
    }
  }
}
// Writes of(j) for element j of them to row[i * step].
template <int kHeld, class T, class Of>
__device__ void store_held(const BlockShape& block, int n, bool vector, T* row, int64_t step,
                           Of of) {
  constexpr int kSize = Vec<T>::kSize;
  const int place = block.place(static_cast<int>(threadIdx.x));
  if (vector) {
    TARN_UNROLL
    for (int u = 0; u < kHeld / kSize; ++u) {
      const int i = (place + u * block.depth) * kSize;
      Vec<T> some;
      for (int j = 0; j < kSize; ++j) some.v[j] = T(of(u * kSize + j));
      if (i < n) *reinterpret_cast<Vec<T>*>(row + i) = some;
    }
  } else {
    TARN_UNROLL
    for (int j = 0; j < kHeld; ++j) {
      const int i = place + j * block.depth;
      if (i < n) row[i * step] = T(of(j));
    }
  }
}

// What the block's threads find in a row, merged: read(i) is element i, `pad` adds nothing.
template <class State, class V, class Read>
__device__ State gather_row(const BlockShape& block, int64_t n, bool valid, V pad, Read read) {
  TARN_SHARED(states, gpu::Arr<State, kBlockSize>);
  State state = State::none();
  int64_t first = block.place(static_cast<int>(threadIdx.x));
  while (valid && first < n) {
    State run = State::none();
    for (int i = 0; i < kRun && first < n; ++i, first += int64_t{kUnroll} * block.depth) {
      V x[kUnroll];
      for (int j = 0; j < kUnroll; ++j) {
        const int64_t at = first + int64_t{j} * block.depth;
        x[j] = at < n ? read(at) : pad;
      }
      run.add(x);
    }
    state = State::merge(state, run);
  }
  return merge_all(block, states, state,
                   [](const State& a, const State& b) { return State::merge(a, b); });
}

// Calls write(i, read(i)) for all elements of a row. Several are read before one is written, which
// the compiler, for all it knows of their addresses, would not do.
template <class Read, class Write>
__device__ void map_row(const BlockShape& block, int64_t n, Read read, Write write) {
  using Element = decltype(read(0));
  int64_t first = block.place(static_cast<int>(threadIdx.x));
  for (; first < n; first += int64_t{kUnroll} * block.depth) {
    Element x[kUnroll];
    for (int j = 0; j < kUnroll; ++j) {
      const int64_t at = first + int64_t{j} * block.depth;
      x[j] = read(at < n ? at : first);
    }
    for (int j = 0; j < kUnroll; ++j) {
      const int64_t at = first + int64_t{j} * block.depth;
      if (at < n) write(at, x[j]);
    }
  }
}

}  // namespace tarn::cuda
