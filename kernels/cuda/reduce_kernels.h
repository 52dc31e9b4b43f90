// The kernels of a reduction. One folds elements into states, one block for a stretch of the
// elements of a few results; where a result takes several stretches, another merges their states.
#pragma once

#include <cstdint>

#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/reduce_ops.h"

namespace tarn::cuda {

// Independent states of a thread, which then wait for each other's sums less, and how many elements
// of each are on their way at once at most.
inline constexpr int kStates = 4, kMostAhead = 4;

// What the elements of a thread's states are to one another.
enum class Lanes {
  kScattered,  // elements of one result, as far apart as the block has threads for it
  kAlong,      // adjacent elements of one result, loaded at once
  kAcross,     // the same element of adjacent results, loaded at once
};

struct ReduceShape {
  BlockShape block;
  int64_t count;          // of elements per result
  int64_t chunk, chunks;  // elements per block, blocks per result
};

// Where results go: to `out` or, while there are several chunks, their states to `partial`.
template <class S>
struct ReduceTarget {
  void* out;
  ScalarType dtype;
  S* partial;  // [result][chunk]
};

namespace detail {

// What falls to the calling thread: its place in the block, and the stretch of a result's `count`
// elements or states that the block folds.
struct Stretch {
  int place;
  int64_t chunk, result;
  bool valid;     // false beyond the last result
  int64_t at[2];  // where `kept` leads for the result
  int64_t begin, end;

  __device__ Stretch(const ReduceShape& shape, const StridedIndex<2>& kept, int64_t count) {
    const int thread = static_cast<int>(threadIdx.x);
    place = shape.block.place(thread);
    // Divisions of 64 bits would take longer than the elements.
    const auto chunks = static_cast<unsigned>(shape.chunks);
    chunk = blockIdx.x % chunks;
    result = int64_t{blockIdx.x / chunks} * shape.block.width + shape.block.result(thread);
    valid = result < kept.count;
    kept.offsets(valid ? static_cast<uint32_t>(result) : 0, at);
    begin = chunk * shape.chunk;
    end = begin + shape.chunk < count ? begin + shape.chunk : count;
  }
};

// Merges the states of the first `active` places of each result and delivers what comes out as
// number `result` at out[at]. All threads of the block take part.
template <class Op, class S>
__device__ void deliver(const Op& op, S state, int active, const ReduceShape& shape,
                        const Stretch& stretch, const ReduceTarget<S>& target, int64_t result,
                        int64_t at) {
  TARN_SHARED(states, gpu::Arr<S, kBlockSize>);
  state = merge_places(shape.block, states, state, active,
                       [&](const S& s, const S& t) { return op.merge(s, t); });
  if (stretch.place != 0 || !stretch.valid) return;
  if (shape.chunks == 1)
    store(target.out, target.dtype, at, op.finish(state, shape.count));
  else
    target.partial[result * shape.chunks + stretch.chunk] = state;
}

// The first `filled` states as one, merged by halves.
template <class Op, class S>
TARN_HD S join(const Op& op, S (&states)[kStates], int filled) {
  TARN_UNROLL
  for (int step = 1; step < kStates; step *= 2) {
    TARN_UNROLL
    for (int j = 0; j + step < kStates; j += 2 * step) {
      if (j + step < filled) states[j] = op.merge(states[j], states[j + step]);
    }
  }
  return states[0];
}

}  // namespace detail

// `kept` leads to a result in `out` and to its first element; `reduced` from there to the others.
// Lanes::kAcross: to the first of kStates results, which are out_step apart.
template <class Op, class Fold, class V>
__global__ void __launch_bounds__(kBlockSize)
    reduce_kernel(Op op, ReduceShape shape, StridedIndex<2> kept, StridedIndex<1> reduced,
                  Lanes lanes, int64_t out_step, const void* in, ScalarType dtype,
                  ReduceTarget<typename Fold::S> target) {
  using S = typename Fold::S;
  const detail::Stretch stretch(shape, kept, shape.count);
  const int64_t begin = stretch.begin, end = stretch.end;
  const bool along = lanes == Lanes::kAlong, across = lanes == Lanes::kAcross;

  S states[kStates];
  for (int j = 0; j < kStates; ++j) states[j] = op.template identity<typename Fold::A>();
  int filled = 0;
  visit(dtype, [&]<class T>(T) {
    if constexpr (compute_type(ScalarTypeOf<T>) == ScalarTypeOf<V>) {
      if (!stretch.valid || begin >= end) return;
      struct alignas(kStates * sizeof(T) < 16 ? kStates * sizeof(T) : 16) Four {
        Stored<T> v[kStates];
      };
      const Stored<T>* const x = static_cast<const Stored<T>*>(in) + stretch.at[1];
      const auto element = [&](int64_t i) {
        int64_t offset[1] = {i * reduced.stride[0][0]};
        if (reduced.ndim > 1) reduced.offsets(static_cast<uint32_t>(i), offset);
        return x + offset[0];
      };
      const int64_t depth = shape.block.depth;
      const int64_t apart = across ? 0 : along ? 1 : depth;  // from one lane to the next
      const int64_t step = across ? depth : kStates * depth;
      int64_t i = begin + (along ? kStates : 1) * stretch.place;
      // Whole batches, in as few instructions as it takes to keep up with the memory.
      constexpr int kAhead = !is_floating_point(ScalarTypeOf<T>) ? 1
                             : sizeof(T) <= 4                    ? kMostAhead
                                                                 : kMostAhead / 2;
      const int64_t whole = (kAhead - 1) * step + (kStates - 1) * apart;  // and one element
      for (; lanes != Lanes::kScattered && i + whole < end; i += kAhead * step) {
        Four four[kAhead];
        TARN_UNROLL
        for (int u = 0; u < kAhead; ++u) {
          four[u] = *reinterpret_cast<const Four*>(x + (i + u * step) * reduced.stride[0][0]);
        }
        TARN_UNROLL
        for (int u = 0; u < kAhead; ++u) {
          TARN_UNROLL
          for (int j = 0; j < kStates; ++j) {
            const V value = convert<V, T>(four[u].v[j]);
            const int64_t at = i + u * step + j * apart;
            if (Fold::kHasFirst && filled == 0)
              states[j] = Fold::first(op, value, at);
            else
              states[j] = Fold::combine(op, states[j], value, at);
          }
          filled = kStates;
        }
      }
      for (; i < end; i += step) {
        Four four = {};
        TARN_UNROLL
        for (int j = 0; j < kStates; ++j) {
          if (i + j * apart < end) four.v[j] = across ? element(i)[j] : *element(i + j * apart);
        }
        TARN_UNROLL
        for (int j = 0; j < kStates; ++j) {
          const int64_t at = i + j * apart;
          if (at < end) {
            const V value = convert<V, T>(four.v[j]);
            states[j] =
                filled > j ? Fold::combine(op, states[j], value, at) : Fold::first(op, value, at);
            filled = filled > j ? filled : j + 1;
          }
        }
      }
    }
  });
  const int64_t takers = along ? (end - begin + kStates - 1) / kStates : end - begin;
  const int active = static_cast<int>(takers < shape.block.depth ? takers : shape.block.depth);
  if (!across) {
    return detail::deliver(op, detail::join(op, states, filled), active, shape, stretch, target,
                           stretch.result, stretch.at[0]);
  }
  for (int j = 0; j < kStates; ++j) {
    if (j > 0) __syncthreads();  // what was merged before has been read
    detail::deliver(op, states[j], active, shape, stretch, target, stretch.result * kStates + j,
                    stretch.at[0] + j * out_step);
  }
}

// The same for states: `count` of them per result at states[result * count].
template <class Op, class Fold>
__global__ void __launch_bounds__(kBlockSize)
    merge_kernel(Op op, ReduceShape shape, StridedIndex<2> kept, const typename Fold::S* from,
                 int64_t count, ReduceTarget<typename Fold::S> target) {
  using S = typename Fold::S;
  const detail::Stretch stretch(shape, kept, count);
  const int64_t begin = stretch.begin, end = stretch.end;

  S states[kStates];
  for (int j = 0; j < kStates; ++j) states[j] = op.template identity<typename Fold::A>();
  int filled = 0;
  const int depth = shape.block.depth;
  for (int64_t first = begin + stretch.place; stretch.valid && first < end;
       first += int64_t{kStates} * depth) {
    for (int j = 0; j < kStates; ++j) {
      const int64_t i = first + j * depth;
      if (i < end) {
        const S& state = from[stretch.result * count + i];
        states[j] = filled > j ? op.merge(states[j], state) : state;
        filled = filled > j ? filled : j + 1;
      }
    }
  }
  const int active = static_cast<int>(end - begin < depth ? end - begin : depth);
  detail::deliver(op, detail::join(op, states, filled), active, shape, stretch, target,
                  stretch.result, stretch.at[0]);
}

}  // namespace tarn::cuda
