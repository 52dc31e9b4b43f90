// Reductions over any dimensions of any layout: the walking. The loops are in reduce_loops.h.
//
// Results do not depend on the number of threads: long reductions are cut into chunks of a fixed
// size whose states merge in a fixed order.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/reduce_dims.h"
#include "tarn/kernels/cpu/reduce_loops.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;     // elements worth a thread
constexpr int64_t kRunChunk = 1 << 16;  // elements per chunk along a row
constexpr int64_t kShortRun = 32;       // below, rows are reduced one element at a time
constexpr int64_t kBatch = 256;         // such rows per unit of work
constexpr int64_t kDirectRun = 64;      // shorter runs are gathered into a buffer first
constexpr int64_t kBuffer = 1024;       // elements of that buffer

class Reducer {
 public:
  Reducer(const ReduceArgs& args, const void* op, const ReduceLoops& loops)
      : op_(op),
        loops_(loops),
        out_(args.out),
        in_(args.in),
        native_(args.in.dtype == loops.input) {
    item_ = element_size(in_.dtype);
    split_dims(args, loops.indexed, kept_, reduced_);
    count_ = reduced_.numel();
    // Columns: neighbouring results come from neighbouring elements.
    const int64_t width = kept_.size[0];
    if (kept_.in[0] == 1 && reduced_.in[0] != 1 && (width >= 4 || reduced_.in[0] == width)) {
      tile_ = std::min<int64_t>(kTileLanes, width);
      chunk_ = std::clamp<int64_t>(kRunChunk / tile_, 1024, 16384);
      kind_ = Kind::kColumns;
    } else if (count_ <= kShortRun && reduced_.count == 1 && native_) {
      tile_ = std::min(kBatch, width);
      kind_ = Kind::kSerial;
    }
  }

  void reduce() {
    const int64_t outputs = kept_.numel();
    if (outputs == 0) return;
    tiles_ = (kept_.size[0] + tile_ - 1) / tile_;
    const int64_t units = outputs / kept_.size[0] * tiles_;
    if (count_ == 0) {
      alignas(64) char states[kTileLanes * kMaxStateSize];
      loops_.identity(op_, states, tile_);
      for (int64_t u = 0; u < units; ++u) finish(unit(u), states);
      return;
    }
    const int64_t chunks = (count_ + chunk_ - 1) / chunk_;
    const int64_t grain = std::max<int64_t>(1, kGrain / (std::min(count_, chunk_) * tile_));
    if (chunks == 1) {
      parallel_for(0, units, grain, [&](int64_t begin, int64_t end) {
        alignas(64) char states[kTileLanes * kMaxStateSize];
        for (int64_t u = begin; u < end; ++u) {
          compute(unit(u), 0, count_, states);
          finish(unit(u), states);
        }
      });
      return;
    }
    const int64_t block = tile_ * loops_.state_size;
    std::vector<char> partial(static_cast<size_t>(units * chunks * block));
    parallel_for(0, units * chunks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t from = i % chunks * chunk_;
        compute(unit(i / chunks), from, std::min(from + chunk_, count_),
                partial.data() + i * block);
      }
    });
    parallel_for(0, units, grain, [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const Unit work = unit(u);
        char* states = partial.data() + u * chunks * block;
        for (int64_t step = 1; step < chunks; step *= 2) {
          for (int64_t c = 0; c + step < chunks; c += 2 * step) {
            loops_.merge(op_, states + c * block, states + (c + step) * block, work.lanes);
          }
        }
        finish(work, states);
      }
    });
  }

 private:
  enum class Kind : int8_t { kRows, kSerial, kColumns };

  // Up to tile_ neighbouring results along kept dimension 0.
  struct Unit {
    int64_t lanes;
    const char* in;
    int64_t out;  // element offset
  };
  Unit unit(int64_t number) const {
    const int64_t first = number % tiles_ * tile_;
    int64_t in = first * kept_.in[0], out = first * kept_.out[0];
    int64_t rest = number / tiles_;
    for (int d = 1; d < kept_.count; ++d) {
      in += rest % kept_.size[d] * kept_.in[d];
      out += rest % kept_.size[d] * kept_.out[d];
      rest /= kept_.size[d];
    }
    // Nothing to reduce may have no memory to point into.
    const char* const data = count_ > 0 ? in_.as<const char>() + in * item_ : nullptr;
    return {std::min(tile_, kept_.size[0] - first), data, out};
  }

  // states = elements [begin, end) of each of the unit's reductions.
  void compute(const Unit& work, int64_t begin, int64_t end, char* states) const {
    switch (kind_) {
      case Kind::kSerial:
        return loops_.serial(op_, states, work.lanes, work.in, kept_.in[0], count_, reduced_.in[0]);
      case Kind::kColumns:
        return columns(work, begin, end, states);
      case Kind::kRows:
        return row(work.in, begin, end, states);
    }
  }

  void row(const char* in, int64_t begin, int64_t end, char* state) const {
    alignas(64) char buffer[kBuffer * sizeof(double)];
    alignas(64) char other[kMaxStateSize];
    int64_t buffered = 0;
    bool fresh = true;
    const auto add = [&](const char* x, int64_t n, int64_t index) {
      loops_.run(op_, fresh ? state : other, x, n, index);
      if (!fresh) loops_.merge(op_, state, other, 1);
      fresh = false;
    };
    const auto flush = [&](int64_t index) {
      if (buffered > 0) add(buffer, buffered, index - buffered);
      buffered = 0;
    };
    const int64_t stride = reduced_.in[0], size = element_size(loops_.input);
    const Converter load = converter(loops_.input, in_.dtype);
    reduced_.runs(begin, end, [&](int64_t offset, int64_t n, int64_t index) {
      const char* x = in + offset * item_;
      if (native_ && (stride == 1 || n == 1) && n >= kDirectRun) {
        flush(index);
        return add(x, n, index);
      }
      while (n > 0) {
        const int64_t part = std::min(n, kBuffer - buffered);
        load(buffer + buffered * size, 1, x, stride, part);
        buffered += part, index += part, n -= part;
        x += part * stride * item_;
        if (buffered == kBuffer) flush(index);
      }
    });
    flush(end);
  }

  void columns(const Unit& work, int64_t begin, int64_t end, char* states) const {
    alignas(64) char lanes[kTileLanes * kMaxStateSize];
    const int64_t width = work.lanes, stride = reduced_.in[0];
    // Narrow rows without gaps are taken several at a time.
    int64_t group = 1;
    while (2 * group * width <= kTileLanes) group *= 2;
    const int64_t wide_rows = (end - begin) / group;
    if (loops_.indexed || reduced_.count > 1 || stride != width || wide_rows == 0) group = 1;
    if (group == 1) {
      bool fresh = true;
      reduced_.runs(begin, end, [&](int64_t offset, int64_t rows, int64_t index) {
        add_rows(lanes, width, work.in + offset * item_, stride, rows, index, fresh);
        fresh = false;
      });
      return loops_.unpack(lanes, states, width);
    }
    const char* x = work.in + begin * stride * item_;
    const int64_t wide = group * width, left = (end - begin) % group * width;
    add_rows(lanes, wide, x, wide, wide_rows, 0, true);
    if (left > 0) add_rows(lanes, left, x + wide_rows * wide * item_, left, 1, 0, false);
    alignas(64) char all[kTileLanes * kMaxStateSize];
    loops_.unpack(lanes, all, wide);
    while (group > 1) {
      group /= 2;
      loops_.merge(op_, all, all + group * width * loops_.state_size, group * width);
    }
    std::memcpy(states, all, static_cast<size_t>(width * loops_.state_size));
  }

  void add_rows(void* lanes, int64_t width, const char* x, int64_t stride, int64_t rows,
                int64_t index, bool fresh) const {
    if (native_) return loops_.columns(op_, lanes, width, x, stride, rows, index, fresh);
    alignas(64) char buffer[kBuffer * sizeof(double)];
    const Converter load = converter(loops_.input, in_.dtype);
    const int64_t size = element_size(loops_.input), block = kBuffer / width;
    for (int64_t r = 0; r < rows; r += block) {
      const int64_t n = std::min(block, rows - r);
      const char* from = x + r * stride * item_;
      if (stride == width) {
        load(buffer, 1, from, 1, n * width);
      } else {
        for (int64_t i = 0; i < n; ++i) {
          load(buffer + i * width * size, 1, from + i * stride * item_, 1, width);
        }
      }
      loops_.columns(op_, lanes, width, buffer, width, n, index + r, fresh && r == 0);
    }
  }

  void finish(const Unit& work, const char* states) const {
    alignas(64) char results[kTileLanes * sizeof(double)];
    loops_.finish(op_, states, work.lanes, count_, results);
    char* out = out_.as<char>() + work.out * element_size(out_.dtype);
    converter(out_.dtype, loops_.result)(out, kept_.out[0], results, 1, work.lanes);
  }

  const void* op_;
  const ReduceLoops& loops_;
  const View& out_;
  const View& in_;
  bool native_;  // elements need no conversion
  Kind kind_ = Kind::kRows;
  int64_t item_;
  int64_t count_;                 // elements per result
  int64_t tile_ = 1, tiles_ = 1;  // results per unit; units along kept dimension 0
  int64_t chunk_ = kRunChunk;     // elements per result and chunk
  ReduceDims kept_, reduced_;
};

// One short contiguous run to one number: no plan needed.
bool reduce_small(const ReduceArgs& args, const void* op, const ReduceLoops& loops) {
  const View &in = args.in, &out = args.out;
  int64_t n = 1, expected = 1;
  if (in.dtype != loops.input) return false;
  for (int d = in.ndim - 1; d >= 0; --d) {
    if (in.sizes[d] == 1) continue;
    if (out.strides[d] != 0 || in.strides[d] != expected) return false;
    n *= in.sizes[d];
    expected = n;
  }
  if (n == 0 || n > kRunChunk) return false;
  alignas(64) char state[kMaxStateSize];
  alignas(8) char result[8];
  loops.run(op, state, in.data, n, 0);
  loops.finish(op, state, 1, n, result);
  if (out.dtype == kFloat && loops.result == kDouble) {
    *out.as<float>() = static_cast<float>(*reinterpret_cast<const double*>(result));
  } else {
    converter(out.dtype, loops.result)(out.data, 1, result, 1, 1);
  }
  return true;
}

template <class Op, class Case>
void launch_case(const ReduceArgs& args, const Case& op) {
  const auto launch = [&](const ReduceLoops& loops) {
    if (!reduce_small(args, &op, loops)) Reducer(args, &op, loops).reduce();
  };
  visit_compute(args.in.dtype, [&]<class V>(V) {
    if constexpr (op::kReducesIn<V, Op>) launch(reduce_loops<Case, Op, V>());
  });
}

template <class Op>
void launch(const ReduceArgs& args) {
  op::visit_case(*static_cast<const Op*>(args.params),
                 [&](const auto& impl) { launch_case<Op>(args, impl); });
}

template <class... Ops>
void dispatch(const ReduceArgs& args, List<Ops...>) {
  static constexpr void (*kLaunch[])(const ReduceArgs&) = {&launch<Ops>...};
  kLaunch[args.op](args);
}

}  // namespace

void reduce(const ReduceArgs& args) { dispatch(args, op::ReduceOps{}); }

}  // namespace tarn::cpu
