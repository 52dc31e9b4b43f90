// How the threads of a block share out the elements of a few results, and bring their findings
// together. It depends on nothing but sizes, so results are the same in every run and on every GPU.
#pragma once

#include <bit>

#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/host_device.h"

namespace tarn::cuda {

// `width` results side by side, `depth` threads for each; width * depth is kBlockSize and both are
// powers of 2.
struct BlockShape {
  int width, depth;
  bool columns;  // neighbouring threads work on neighbouring results, else on the same one

  // The quotients and remainders of `thread`: powers of 2 spare the divisions.
  TARN_HD int result(int thread) const {
    return columns ? thread & (width - 1) : thread * width / kBlockSize;
  }
  TARN_HD int place(int thread) const {
    return columns ? thread * depth / kBlockSize : thread & (depth - 1);
  }
  TARN_HD int thread(int result, int place) const {
    return columns ? place * width + result : result * depth + place;
  }
  // The blocks that `results` take.
  int64_t tiles(int64_t results) const { return (results + width - 1) / width; }

  // For results of `count` elements each that lie anyhow or, best, next to one another.
  static BlockShape rows(int64_t results, int64_t count) {
    constexpr int64_t kMostPerThread = 64, kManyThreads = 1 << 18;
    int depth = floor_power(count);
    // A warp for a result suffices where that gives the device enough to do.
    while (depth > 32 && depth / 2 * kMostPerThread >= count && results * depth > kManyThreads) {
      depth /= 2;
    }
    return {kBlockSize / depth, depth, false};
  }
  // The same for threads that hold up to `held` elements each, which they take `at_once` at a time:
  // deep enough to hold all of a result's, if a block is.
  static BlockShape held_rows(int64_t results, int64_t count, int held, int at_once = 1) {
    BlockShape shape = rows(results, count / at_once);
    while (shape.depth < kBlockSize && int64_t{shape.depth} * held < count) {
      shape.depth *= 2;
      shape.width /= 2;
    }
    return shape;
  }
  // For results of which `adjacent` have adjacent elements.
  static BlockShape by_columns(int64_t adjacent, int64_t count) {
    const int most = kBlockSize / floor_power(std::clamp<int64_t>(count / 8, 1, 8));
    const int width = std::min(most, 2 * floor_power((adjacent + 1) / 2));
    return {width, kBlockSize / width, true};
  }

 private:
  static int floor_power(int64_t n) {
    const auto limited = static_cast<unsigned>(std::clamp<int64_t>(n, 1, kBlockSize));
    return static_cast<int>(std::bit_floor(limited));
  }
};

// Makes what threads of places below `places` wrote known to one another.
__device__ inline void sync_places(const BlockShape& shape, int places) {
  // Within a warp its own barrier is enough.
  if (shape.thread(0, places) <= 32)
    __syncwarp();
  else
    __syncthreads();
}

// Merges the states of the first `active` places of each result by halves. The thread in place 0
// gets the outcome. All threads of the block call it, with `states` in shared memory.
template <class S, class Merge>
__device__ S merge_places(const BlockShape& shape, S (&states)[kBlockSize], const S& state,
                          int active, Merge merge) {
  const int thread = static_cast<int>(threadIdx.x), place = shape.place(thread);
  states[thread] = state;
  for (int half = shape.depth / 2; half > 0; half /= 2) {
    sync_places(shape, 2 * half);
    if (place < half && place + half < active) {
      const int other = shape.thread(shape.result(thread), place + half);
      states[thread] = merge(states[thread], states[other]);
    }
  }
  return states[thread];
}
// The same for all places, and every thread gets its result's outcome.
template <class S, class Merge>
__device__ S merge_all(const BlockShape& shape, S (&states)[kBlockSize], const S& state,
                       Merge merge) {
  merge_places(shape, states, state, shape.depth, merge);
  sync_places(shape, shape.depth);
  return states[shape.thread(shape.result(static_cast<int>(threadIdx.x)), 0)];
}
// The same for numbers, without memory where a warp holds all of a result's. Not with
// BlockShape::columns, and once in a kernel for each type of op.
template <class V, class Op>
__device__ V over_places(const BlockShape& block, V value, Op op) {
  constexpr int kWarp = 32;
  for (int lanes = (block.depth < kWarp ? block.depth : kWarp) / 2; lanes > 0; lanes /= 2) {
    value = op(value, __shfl_xor_sync(0xFFFFFFFFu, value, lanes));
  }
  if (block.depth <= kWarp) return value;
  TARN_SHARED(values, gpu::Arr<V, kBlockSize / kWarp>);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = block.depth / kWarp;
  if (threadIdx.x % kWarp == 0) values[warp] = value;
  __syncthreads();
  const int first = warp & ~(warps - 1);
  value = values[first];
  for (int i = 1; i < warps; ++i) value = op(value, values[first + i]);
  return value;
}

}  // namespace tarn::cuda
