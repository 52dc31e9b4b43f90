// Pointwise ops over any dtypes and strides. The loops see contiguous arrays of their compute type;
// what is not that already goes through small buffers, converted on the way.
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/pointwise_loops.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {

template <>
const PointwiseLoop* pointwise_loops<float>(CpuIsa isa);
template <>
const PointwiseLoop* pointwise_loops<double>(CpuIsa isa);
template <>
const PointwiseLoop* pointwise_loops<int64_t>(CpuIsa isa);

namespace {

constexpr int kMaxInputs = 4;
constexpr int64_t kChunk = 512;
// Elements worth a thread of their own.
constexpr int64_t kGrain = 16384;

template <class V>
class BufferedRun {
 public:
  BufferedRun(const PointwiseArgs& args, PointwiseLoop loop) : args_(args), loop_(loop) {
    for (int k = 0; k < args.num_inputs; ++k) {
      if (args.in[k].dtype != ScalarTypeOf<V>)
        load_[k] = converter(ScalarTypeOf<V>, args.in[k].dtype);
    }
    if (args.out.dtype != ScalarTypeOf<V>) store_ = converter(args.out.dtype, ScalarTypeOf<V>);
    copy_ = converter(ScalarTypeOf<V>, ScalarTypeOf<V>);
  }

  void operator()(int64_t n, char* const* p, const int64_t* stride) const {
    V buffers[kMaxInputs + 1][kChunk];
    const void* in[kMaxInputs];
    const bool direct_out = !store_ && stride[0] == 1;
    bool direct = direct_out;
    for (int k = 0; k < args_.num_inputs; ++k) {
      direct &= !load_[k] && stride[k + 1] == 1;
      in[k] = p[k + 1];
    }
    if (direct) return loop_(args_.params, p[0], in, n);
    for (int64_t begin = 0; begin < n; begin += kChunk) {
      const int64_t length = n - begin < kChunk ? n - begin : kChunk;
      for (int k = 0; k < args_.num_inputs; ++k) {
        const int64_t step = stride[k + 1];
        char* from = p[k + 1] + begin * step * element_size(args_.in[k].dtype);
        if (!load_[k] && step == 1) {
          in[k] = from;
          continue;
        }
        in[k] = buffers[k];
        // A broadcast element fills its buffer once.
        if (step != 0 || begin == 0)
          (load_[k] ? load_[k] : copy_)(buffers[k], 1, from, step, length);
      }
      char* to = p[0] + begin * stride[0] * element_size(args_.out.dtype);
      void* out = direct_out ? static_cast<void*>(to) : buffers[kMaxInputs];
      loop_(args_.params, out, in, length);
      if (!direct_out) (store_ ? store_ : copy_)(to, stride[0], out, 1, length);
    }
  }

 private:
  const PointwiseArgs& args_;
  PointwiseLoop loop_;
  Converter load_[kMaxInputs] = {}, store_ = nullptr, copy_;
};

template <class V>
void run(const PointwiseArgs& args) {
  const PointwiseLoop loop = pointwise_loops<V>(cpu_isa())[args.op];
  if (args.flat) {
    parallel_for(0, args.out.numel(), kGrain, [&](int64_t begin, int64_t end) {
      const void* in[kMaxInputs];
      for (int k = 0; k < args.num_inputs; ++k) in[k] = args.in[k].template as<V>() + begin;
      loop(args.params, args.out.template as<V>() + begin, in, end - begin);
    });
    return;
  }
  const View* views[kMaxInputs + 1] = {&args.out};
  for (int k = 0; k < args.num_inputs; ++k) views[k + 1] = &args.in[k];
  StridedLoop(views, args.num_inputs + 1).for_each(kGrain, BufferedRun<V>(args, loop));
}

}  // namespace

void pointwise(const PointwiseArgs& args) {
  visit_compute(args.compute, [&]<class V>(V) { run<V>(args); });
}

}  // namespace tarn::cpu
