// Pointwise ops over any dtypes and strides: which kernel. The kernels are in pointwise_kernels.h.
#include "tarn/kernels/cuda/pointwise.h"

#include "tarn/kernels/cuda/kernels.h"

namespace tarn::cuda {

template <>
FlatPointwise<float> flat_pointwise<float, float>(int op);
template <>
FlatPointwise<float> flat_pointwise<float, Half>(int op);
template <>
FlatPointwise<float> flat_pointwise<float, BFloat16>(int op);
template <>
FlatPointwise<double> flat_pointwise<double, double>(int op);
template <>
FlatPointwise<int64_t> flat_pointwise<int64_t, int64_t>(int op);
template <>
StridedPointwise<float> strided_pointwise<float>(int op);
template <>
StridedPointwise<double> strided_pointwise<double>(int op);
template <>
StridedPointwise<int64_t> strided_pointwise<int64_t>(int op);

namespace {

template <class V>
FlatPointwise<V> select_flat(int op, ScalarType dtype) {
  if (dtype == ScalarTypeOf<V>) return flat_pointwise<V, V>(op);
  if constexpr (std::is_same_v<V, float>) {
    if (dtype == kHalf) return flat_pointwise<float, Half>(op);
    if (dtype == kBFloat16) return flat_pointwise<float, BFloat16>(op);
  }
  return nullptr;
}

template <class V>
void run(const PointwiseArgs& args) {
  PointwiseOperands<V> operands{};
  operands.out = args.out.data;
  operands.out_type = args.out.dtype;
  const View* views[1 + kMaxInputs] = {&args.out};
  int64_t items[1 + kMaxInputs] = {element_size(args.out.dtype)};
  for (int k = 0; k < args.num_inputs; ++k) {
    const View& in = args.in[k];
    views[1 + k] = &in;
    items[1 + k] = element_size(in.dtype);
    operands.in_type[k] = in.dtype;
    if (args.on_host >> k & 1)
      operands.number[k] = load<V>(in.data, in.dtype, 0);
    else
      operands.in[k] = in.data;
  }
  operands.on_host = operands.single = args.on_host;

  const StridedLoop loop(views, 1 + args.num_inputs);
  bool flat = loop.is_flat();
  for (int k = 0; k <= args.num_inputs && loop.is_flat(); ++k) {
    if (k > 0 && (operands.single >> (k - 1) & 1)) continue;
    // A stride of 0 is that of one number for all elements.
    if (k > 0 && loop.inner_strides()[k] == 0)
      operands.single |= 1u << (k - 1);
    else
      flat = flat && views[k]->dtype == args.out.dtype && is_aligned(views[k]->data);
  }
  if (loop.numel() == 0) return;
  if (const auto launch = flat ? select_flat<V>(args.op, args.out.dtype) : nullptr) {
    return launch(args.params, operands, loop.numel());
  }
  strided_pointwise<V>(args.op)(args.params, operands, loop, items);
}

}  // namespace

void pointwise(const PointwiseArgs& args) {
  visit_compute(args.compute, [&]<class V>(V) { run<V>(args); });
}

}  // namespace tarn::cuda
