// The inner loops of a reduction, for one op and one compute type, behind plain function pointers
// so that the walking of dimensions (reduce.cpp) exists once.
//
// A state S is a number or a small struct. Loops keep many states at once, one array per field, and
// add one element to each in turn: that vectorises for every op without reordering anybody's sums.
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tarn/kernels/cpu/isa.h"
#include "tarn/kernels/reduce_ops.h"

namespace tarn::cpu {

// Lanes of a run of contiguous elements, and the most lanes of a tile of columns.
inline constexpr int kRunLanes = 32;
inline constexpr int kTileLanes = 512;
inline constexpr int kMaxStateSize = 32;

template <int kIndex, class T, int kCount>
struct LaneField {
  T v[kCount];
};
template <class S, int kCount, class Fields, class Sequence>
struct StructLanes;
template <class S, int kCount, class... T, size_t... I>
struct StructLanes<S, kCount, std::tuple<T S::*...>, std::index_sequence<I...>>
    : LaneField<I, T, kCount>... {
  TARN_HD S get(int64_t j) const { return {LaneField<I, T, kCount>::v[j]...}; }
  TARN_HD void set(int64_t j, const S& s) {
    ((LaneField<I, T, kCount>::v[j] = s.*std::get<I>(S::fields())), ...);
  }
};
template <class S, int kCount>
struct NumberLanes {
  S v[kCount];
  TARN_HD S get(int64_t j) const { return v[j]; }
  TARN_HD void set(int64_t j, S s) { v[j] = s; }
};
template <class S, int kCount, bool = std::is_arithmetic_v<S>>
struct LanesOf {
  using type = NumberLanes<S, kCount>;
};
template <class S, int kCount>
struct LanesOf<S, kCount, false> {
  using Fields = decltype(S::fields());
  using type = StructLanes<S, kCount, Fields, std::make_index_sequence<std::tuple_size_v<Fields>>>;
};
template <class S, int kCount>
using Lanes = typename LanesOf<S, kCount>::type;

// How an op sees one element; floats are accumulated in double.
template <class Op, class Traits, class V>
using Folding =
    op::Folding<Op, Traits, V,
                std::conditional_t<std::is_same_v<V, float> && !Traits::kTraits.exact, double, V>>;

// *state = the n >= 1 elements of x, whose indices start at `index`.
template <class Op, class Fold, class V>
struct RunBody {
  using S = typename Fold::S;
  TARN_HD static void run(const void* params, void* state, const void* data, int64_t n,
                          int64_t index) {
    const Op op = *static_cast<const Op*>(params);
    const V* x = static_cast<const V*>(data);
    if (n < kRunLanes) {
      S s = Fold::first(op, x[0], index);
      for (int64_t i = 1; i < n; ++i) s = Fold::combine(op, s, x[i], index + i);
      *static_cast<S*>(state) = s;
      return;
    }
    Lanes<S, kRunLanes> lanes;
    for (int j = 0; j < kRunLanes; ++j) lanes.set(j, Fold::first(op, x[j], index + j));
    int64_t i = kRunLanes;
    for (; i + kRunLanes <= n; i += kRunLanes) {
      for (int j = 0; j < kRunLanes; ++j) {
        lanes.set(j, Fold::combine(op, lanes.get(j), x[i + j], index + i + j));
      }
    }
    for (int64_t j = 0; i + j < n; ++j) {
      lanes.set(j, Fold::combine(op, lanes.get(j), x[i + j], index + i + j));
    }
    for (int half = kRunLanes / 2; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) lanes.set(j, op.merge(lanes.get(j), lanes.get(j + half)));
    }
    *static_cast<S*>(state) = lanes.get(0);
  }
};

// Adds x[r * stride + j], r in [0, rows), to lane j in [0, n). All elements of row r have the index
// index + r. `fresh`: the lanes hold nothing yet.
template <class Op, class Fold, class V>
struct ColumnsBody {
  using S = typename Fold::S;
  TARN_HD static void run(const void* params, void* memory, int64_t n, const void* data,
                          int64_t stride, int64_t rows, int64_t index, bool fresh) {
    const Op op = *static_cast<const Op*>(params);
    const V* __restrict x = static_cast<const V*>(data);
    Lanes<S, kTileLanes>& __restrict lanes = *static_cast<Lanes<S, kTileLanes>*>(memory);
    int64_t r = 0;
    if (fresh) {
      for (int64_t j = 0; j < n; ++j) lanes.set(j, Fold::first(op, x[j], index));
      r = 1;
    }
    for (; r < rows; ++r) {
      const V* __restrict row = x + r * stride;
      for (int64_t j = 0; j < n; ++j) {
        lanes.set(j, Fold::combine(op, lanes.get(j), row[j], index + r));
      }
    }
  }
};

// One op's loops for one compute type and instruction set. `op` points to the op; states are arrays
// of S, lanes are a Lanes<S, kTileLanes>.
struct ReduceLoops {
  ScalarType input;   // V
  ScalarType result;  // what finish writes
  int64_t state_size;
  bool indexed;
  void (*run)(const void* op, void* state, const void* x, int64_t n, int64_t index);
  void (*columns)(const void* op, void* lanes, int64_t n, const void* x, int64_t stride,
                  int64_t rows, int64_t index, bool fresh);
  // states[i] = the elements x[i * step + k * stride], k in [0, count), count >= 1.
  void (*serial)(const void* op, void* states, int64_t n, const void* x, int64_t step,
                 int64_t count, int64_t stride);
  void (*identity)(const void* op, void* states, int64_t n);
  void (*unpack)(const void* lanes, void* states, int64_t n);
  void (*merge)(const void* op, void* states, const void* others, int64_t n);
  void (*finish)(const void* op, const void* states, int64_t n, int64_t count, void* results);
};

template <class Op, class Fold, class V>
struct StateLoops {
  using S = typename Fold::S;
  static_assert(sizeof(S) <= kMaxStateSize);

  static void serial(const void* params, void* states, int64_t n, const void* data, int64_t step,
                     int64_t count, int64_t stride) {
    const Op op = *static_cast<const Op*>(params);
    for (int64_t i = 0; i < n; ++i) {
      const V* x = static_cast<const V*>(data) + i * step;
      S s = Fold::first(op, x[0], 0);
      for (int64_t k = 1; k < count; ++k) s = Fold::combine(op, s, x[k * stride], k);
      static_cast<S*>(states)[i] = s;
    }
  }
  static void identity(const void* params, void* states, int64_t n) {
    const Op op = *static_cast<const Op*>(params);
    std::fill_n(static_cast<S*>(states), n, op.template identity<typename Fold::A>());
  }
  static void unpack(const void* lanes, void* states, int64_t n) {
    for (int64_t j = 0; j < n; ++j) {
      static_cast<S*>(states)[j] = static_cast<const Lanes<S, kTileLanes>*>(lanes)->get(j);
    }
  }
  static void merge(const void* params, void* states, const void* others, int64_t n) {
    const Op op = *static_cast<const Op*>(params);
    S* s = static_cast<S*>(states);
    for (int64_t j = 0; j < n; ++j) s[j] = op.merge(s[j], static_cast<const S*>(others)[j]);
  }
  static void finish(const void* params, const void* states, int64_t n, int64_t count,
                     void* results) {
    const Op op = *static_cast<const Op*>(params);
    for (int64_t j = 0; j < n; ++j) {
      static_cast<typename Fold::Result*>(results)[j] =
          op.finish(static_cast<const S*>(states)[j], count);
    }
  }
};

// The loops of Op; Traits is the listed op that Op is a case of (often Op itself).
template <class Op, class Traits, class V>
const ReduceLoops& reduce_loops() {
  using Fold = Folding<Op, Traits, V>;
  using Run = RunBody<Op, Fold, V>;
  using Columns = ColumnsBody<Op, Fold, V>;
  using States = StateLoops<Op, Fold, V>;
  static constexpr auto kMake = [](auto run, auto columns) {
    return ReduceLoops{ScalarTypeOf<V>,
                       ScalarTypeOf<typename Fold::Result>,
                       sizeof(typename Fold::S),
                       Fold::kTraits.indexed,
                       run,
                       columns,
                       &States::serial,
                       &States::identity,
                       &States::unpack,
                       &States::merge,
                       &States::finish};
  };
  using I = int64_t;
  using P = const void*;
  static constexpr ReduceLoops kLoops[] = {
      kMake(&run_baseline<Run, P, void*, P, I, I>,
            &run_baseline<Columns, P, void*, I, P, I, I, I, bool>),
      kMake(&run_avx2<Run, P, void*, P, I, I>, &run_avx2<Columns, P, void*, I, P, I, I, I, bool>),
      kMake(&run_avx512<Run, P, void*, P, I, I>,
            &run_avx512<Columns, P, void*, I, P, I, I, I, bool>),
  };
  return kLoops[static_cast<int>(cpu_isa())];
}

}  // namespace tarn::cpu
