// The kernels of a reduction. One folds elements into states, one block for a stretch of the
// elements of a few results; where a result takes several stretches, another merges their states.
#pragma once

#include <cstdint>

#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/reduce_ops.h"

namespace tarn::cuda {

// Independent states of a thread, which then wait for each other's loads and sums less.
inline constexpr int kStates = 4;

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
    chunk = blockIdx.x % shape.chunks;
    result = blockIdx.x / shape.chunks * shape.block.width + shape.block.result(thread);
    valid = result < kept.count;
    kept.offsets(valid ? static_cast<uint32_t>(result) : 0, at);
    begin = chunk * shape.chunk;
    end = begin + shape.chunk < count ? begin + shape.chunk : count;
  }
};

// Merges the states of the first `active` places of each result and delivers what comes out. All
// threads of the block take part.
template <class Op, class S>
__device__ void deliver(const Op& op, S state, int active, const ReduceShape& shape,
                        const Stretch& stretch, const ReduceTarget<S>& target) {
  TARN_SHARED(states, gpu::Arr<S, kBlockSize>);
  state = merge_places(shape.block, states, state, active,
                       [&](const S& s, const S& t) { return op.merge(s, t); });
  if (stretch.place != 0 || !stretch.valid) return;
  if (shape.chunks == 1)
    store(target.out, target.dtype, stretch.at[0], op.finish(state, shape.count));
  else
    target.partial[stretch.result * shape.chunks + stretch.chunk] = state;
}

// Four elements or states from `first` on, `step` apart, but not beyond `end`, folded one each into
// as many states. `fresh`: these hold nothing yet. Returns how many there were.
template <class Take>
TARN_HD int fold_four(int64_t first, int64_t step, int64_t end, Take&& take) {
  int taken = 0;
  for (int j = 0; j < kStates; ++j) {
    if (first + j * step < end) {
      take(j, first + j * step);
      taken = j + 1;
    }
  }
  return taken;
}

template <class Op, class S>
TARN_HD S join(const Op& op, const S (&states)[kStates], int filled) {
  S state = states[0];
  for (int j = 1; j < kStates; ++j) {
    if (j < filled) state = op.merge(state, states[j]);
  }
  return state;
}

}  // namespace detail

// `kept` leads to a result in `out` and to its first element; `reduced` from there to the others.
// vector: each thread takes kStates adjacent elements at once, at multiples of their size.
template <class Op, class Fold, class V>
__global__ void __launch_bounds__(kBlockSize)
    reduce_kernel(Op op, ReduceShape shape, StridedIndex<2> kept, StridedIndex<1> reduced,
                  bool vector, const void* in, ScalarType dtype,
                  ReduceTarget<typename Fold::S> target) {
  using S = typename Fold::S;
  const detail::Stretch stretch(shape, kept, shape.count);
  const int64_t begin = stretch.begin, end = stretch.end;

  S states[kStates];
  for (int j = 0; j < kStates; ++j) states[j] = op.template identity<typename Fold::A>();
  int filled = 0;
  visit(dtype, [&]<class T>(T) {
    if constexpr (compute_type(ScalarTypeOf<T>) == ScalarTypeOf<V>) {
      if (!stretch.valid) return;
      const Stored<T>* const x = static_cast<const Stored<T>*>(in) + stretch.at[1];
      const auto fold = [&](int j, V value, int64_t i) {
        states[j] = filled > j ? Fold::combine(op, states[j], value, i) : Fold::first(op, value, i);
      };
      const int depth = shape.block.depth;
      for (int64_t first = begin + (vector ? kStates : 1) * stretch.place; first < end;
           first += int64_t{kStates} * depth) {
        int taken = kStates;
        if (vector && first + kStates <= end) {
          struct alignas(kStates * sizeof(T) < 16 ? kStates * sizeof(T) : 16) Four {
            Stored<T> v[kStates];
          };
          const Four four = *reinterpret_cast<const Four*>(x + first);
          for (int j = 0; j < kStates; ++j) fold(j, convert<V, T>(four.v[j]), first + j);
        } else {
          V value[kStates] = {};
          taken = detail::fold_four(first, vector ? 1 : depth, end, [&](int j, int64_t i) {
            int64_t offset[1] = {i * reduced.stride[0][0]};
            if (reduced.ndim > 1) reduced.offsets(static_cast<uint32_t>(i), offset);
            value[j] = convert<V, T>(x[offset[0]]);
          });
          for (int j = 0; j < kStates; ++j) {
            if (j < taken) fold(j, value[j], first + j * (vector ? 1 : depth));
          }
        }
        filled = filled > taken ? filled : taken;
      }
    }
  });
  const int64_t takers = vector ? (end - begin + kStates - 1) / kStates : end - begin;
  const int active = static_cast<int>(takers < shape.block.depth ? takers : shape.block.depth);
  detail::deliver(op, detail::join(op, states, filled), active, shape, stretch, target);
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
    const int taken = detail::fold_four(first, depth, end, [&](int j, int64_t i) {
      const S& state = from[stretch.result * count + i];
      states[j] = filled > j ? op.merge(states[j], state) : state;
    });
    filled = filled > taken ? filled : taken;
  }
  const int active = static_cast<int>(end - begin < depth ? end - begin : depth);
  detail::deliver(op, detail::join(op, states, filled), active, shape, stretch, target);
}

}  // namespace tarn::cuda
