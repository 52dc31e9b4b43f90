// Advanced indexing: gather and scatter.
#include <algorithm>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread
constexpr int64_t kChunk = 256;      // elements whose offsets are computed at once

// Throws IndexError for the first index of an operand that is out of range.
void check_indices(const IndexSpec& spec) {
  for (int k = 0; k < spec.count; ++k) {
    // Broadcast dimensions are looked at once.
    int64_t sizes[kMaxDims];
    View index = spec.index[k];
    for (int d = 0; d < index.ndim; ++d) {
      sizes[d] = index.strides[d] == 0 ? std::min<int64_t>(index.sizes[d], 1) : index.sizes[d];
    }
    index.sizes = sizes;
    const int64_t size = spec.size[k], least = spec.from_end ? -size : 0;
    const auto outside = [&](int64_t i) { return i < least || i >= size; };
    StridedLoop(index).for_each(kGrain, [&](int64_t n, char* const* p, const int64_t* stride) {
      const int64_t* values = reinterpret_cast<const int64_t*>(p[0]);
      bool bad = false;
      for (int64_t i = 0; i < n; ++i) bad |= outside(values[i * stride[0]]);
      if (!bad) return;
      while (!outside(*values)) values += stride[0];
      fail_index(*values, spec.dim[k], size);
    });
  }
}

// The elements of `values` and `self` that belong together: operand 0 is values, 1 self, the others
// are the index tensors.
StridedLoop make_loop(const View& values, const View& self, const IndexSpec& spec,
                      LoopOrder order) {
  const View* views[StridedLoop::kMaxOperands] = {&values, &self};
  for (int k = 0; k < spec.count; ++k) views[2 + k] = &spec.index[k];
  return StridedLoop(views, 2 + spec.count, order);
}

// Calls row(values, self, n) for runs that have one index, elements(values, self, offsets, n) for
// others; offsets (in elements) are to be added to self, which also advances by its stride.
template <class Row, class Elements>
auto split_runs(const IndexSpec& spec, Row row, Elements elements) {
  return [&spec, row, elements](int64_t n, char* const* p, const int64_t* stride) {
    bool one_index = true;
    for (int k = 0; k < spec.count; ++k) one_index &= stride[2 + k] == 0;
    int64_t offsets[kChunk];
    for (int64_t start = 0; start < n; start += kChunk) {
      const int64_t count = one_index ? 1 : std::min(kChunk, n - start);
      for (int k = 0; k < spec.count; ++k) {
        const int64_t* index = reinterpret_cast<const int64_t*>(p[2 + k]) + start * stride[2 + k];
        const int64_t size = spec.size[k], step = spec.stride[k];
        for (int64_t i = 0; i < count; ++i) {
          const int64_t raw = index[i * stride[2 + k]];
          const int64_t offset = (raw < 0 ? raw + size : raw) * step;
          offsets[i] = k == 0 ? offset : offsets[i] + offset;
        }
      }
      if (one_index) return row(p, stride, offsets[0], n);
      elements(p, stride, start, offsets, count);
    }
  };
}

template <class T>
void gather_run(void* values_data, int64_t values_stride, const void* self_data,
                int64_t self_stride, const int64_t* offsets, int64_t n) {
  T* values = static_cast<T*>(values_data);
  const T* self = static_cast<const T*>(self_data);
  for (int64_t i = 0; i < n; ++i) values[i * values_stride] = self[i * self_stride + offsets[i]];
}
using GatherRun = void (*)(void*, int64_t, const void*, int64_t, const int64_t*, int64_t);

// Combines self[i * self_stride + offsets[i]] with values[i * values_stride]; without offsets they
// are 0.
template <ScatterMode kMode, class T>
void combine_run(void* self_data, int64_t self_stride, const void* values_data,
                 int64_t values_stride, const int64_t* offsets, int64_t n) {
  T* self = static_cast<T*>(self_data);
  const T* values = static_cast<const T*>(values_data);
  if (kMode == ScatterMode::kAdd && offsets == nullptr && self_stride == 1 && values_stride == 1) {
    for (int64_t i = 0; i < n; ++i) self[i] = combine<kMode>(self[i], values[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    T& target = self[i * self_stride + (offsets != nullptr ? offsets[i] : 0)];
    target = combine<kMode>(target, values[i * values_stride]);
  }
}
using CombineRun = void (*)(void*, int64_t, const void*, int64_t, const int64_t*, int64_t);

CombineRun combiner(ScatterMode mode, ScalarType dtype) {
  if (mode == ScatterMode::kAssign) {
    return visit_size(element_size(dtype), [&]<class T>(T) -> CombineRun {
      return &combine_run<ScatterMode::kAssign, T>;
    });
  }
  return visit(dtype, [&]<class T>(T) -> CombineRun {
    switch (mode) {
      case ScatterMode::kMultiply:
        return &combine_run<ScatterMode::kMultiply, T>;
      case ScatterMode::kMax:
        return &combine_run<ScatterMode::kMax, T>;
      case ScatterMode::kMin:
        return &combine_run<ScatterMode::kMin, T>;
      default:
        return &combine_run<ScatterMode::kAdd, T>;
    }
  });
}

void scatter_serial(const ScatterArgs& args) {
  const CombineRun run = combiner(args.mode, args.self.dtype);
  const int64_t item = element_size(args.self.dtype);
  const auto row = [&](char* const* p, const int64_t* stride, int64_t offset, int64_t n) {
    run(p[1] + offset * item, stride[1], p[0], stride[0], nullptr, n);
  };
  const auto elements = [&](char* const* p, const int64_t* stride, int64_t start,
                            const int64_t* offsets, int64_t n) {
    run(p[1] + start * stride[1] * item, stride[1], p[0] + start * stride[0] * item, stride[0],
        offsets, n);
  };
  const StridedLoop loop = make_loop(args.values, args.self, args.spec, LoopOrder::kRowMajor);
  loop.run(0, loop.numel(), split_runs(args.spec, row, elements));
}

// The longest dimension in which no index varies, -1 if none: elements that differ there have
// different targets, so it can be split among threads without conflicts, and every target still
// receives its values in row-major order. Short dimensions do not count: threads would write to the
// same cache lines.
int independent_dim(const ScatterArgs& args) {
  constexpr int64_t kShortest = 128;
  int best = -1;
  for (int d = 0; d < args.self.ndim; ++d) {
    bool varies = args.self.strides[d] == 0 || args.self.sizes[d] < kShortest;
    for (int k = 0; k < args.spec.count; ++k) varies |= args.spec.index[k].strides[d] != 0;
    if (!varies && (best < 0 || args.self.sizes[d] > args.self.sizes[best])) best = d;
  }
  return best;
}

// View `v` restricted to [begin, begin + sizes[d]) of dimension d.
View narrowed(View v, const int64_t* sizes, int d, int64_t begin) {
  v.data = static_cast<char*>(v.data) + begin * v.strides[d] * element_size(v.dtype);
  v.sizes = sizes;
  return v;
}

}  // namespace

void gather(const GatherArgs& args) {
  check_indices(args.spec);
  const StridedLoop loop = make_loop(args.values, args.self, args.spec, LoopOrder::kMemory);
  const Converter copy_row = converter(args.self.dtype, args.self.dtype);
  const int64_t item = element_size(args.self.dtype);
  const auto row = [&](char* const* p, const int64_t* stride, int64_t offset, int64_t n) {
    copy_row(p[0], stride[0], p[1] + offset * item, stride[1], n);
  };
  const GatherRun gather_elements =
      visit_size(item, []<class T>(T) -> GatherRun { return &gather_run<T>; });
  const auto elements = [&](char* const* p, const int64_t* stride, int64_t start,
                            const int64_t* offsets, int64_t n) {
    gather_elements(p[0] + start * stride[0] * item, stride[0], p[1] + start * stride[1] * item,
                    stride[1], offsets, n);
  };
  loop.for_each(kGrain, split_runs(args.spec, row, elements));
}

void scatter(const ScatterArgs& args) {
  check_indices(args.spec);
  const int64_t numel = args.values.numel();
  const int dim = numel > kGrain ? independent_dim(args) : -1;
  if (dim < 0) return scatter_serial(args);
  const int64_t length = args.self.sizes[dim];
  const int64_t grain = std::max<int64_t>(1, kGrain * length / numel);
  parallel_for(0, length, grain, [&](int64_t begin, int64_t end) {
    int64_t sizes[kMaxDims];
    std::copy_n(args.self.sizes, args.self.ndim, sizes);
    sizes[dim] = end - begin;
    ScatterArgs part = args;
    part.self = narrowed(args.self, sizes, dim, begin);
    part.values = narrowed(args.values, sizes, dim, begin);
    for (int k = 0; k < args.spec.count; ++k) {
      part.spec.index[k] = narrowed(args.spec.index[k], sizes, dim, begin);
    }
    scatter_serial(part);
  });
}

}  // namespace tarn::cpu
