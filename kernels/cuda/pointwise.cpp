// Pointwise ops over any dtypes and strides: which kernel. The kernels are in pointwise_kernels.h.
#include "tarn/kernels/cuda/pointwise.h"

#include "tarn/kernels/cuda/kernels.h"

namespace tarn::cuda {

template <>
PointwiseLauncher<float> vector_pointwise<float, float>(int op);
template <>
PointwiseLauncher<float> vector_pointwise<float, Half>(int op);
template <>
PointwiseLauncher<float> vector_pointwise<float, BFloat16>(int op);
template <>
PointwiseLauncher<double> vector_pointwise<double, double>(int op);
template <>
PointwiseLauncher<int64_t> vector_pointwise<int64_t, int64_t>(int op);
template <>
PointwiseLauncher<float> strided_pointwise<float>(int op);
template <>
PointwiseLauncher<double> strided_pointwise<double>(int op);
template <>
PointwiseLauncher<int64_t> strided_pointwise<int64_t>(int op);

namespace {

template <class V>
PointwiseLauncher<V> select_vector(int op, ScalarType dtype) {
  if (dtype == ScalarTypeOf<V>) return vector_pointwise<V, V>(op);
  if constexpr (std::is_same_v<V, float>) {
    if (dtype == kHalf) return vector_pointwise<float, Half>(op);
    if (dtype == kBFloat16) return vector_pointwise<float, BFloat16>(op);
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
  if (loop.numel() == 0) return;
  const bool flat = loop.is_flat();
  const int64_t per_vector = 16 / items[0];
  bool vector = flat ? loop.numel() >= per_vector : loop.size(0) % per_vector == 0;
  for (int k = 0; k <= args.num_inputs; ++k) {
    const unsigned bit = k > 0 ? 1u << (k - 1) : 0;
    if (operands.single & bit) continue;
    const int64_t stride = flat ? loop.inner_strides()[k] : loop.stride(0, k) / items[k];
    const bool one_number = stride == 0 && k > 0 && args.num_inputs > 1;
    if (one_number) (flat ? operands.single : operands.spread) |= bit;
    if (one_number && flat) continue;
    vector = vector && (one_number || stride == 1) && views[k]->dtype == args.out.dtype &&
             is_aligned(views[k]->data);
    for (int d = 1; vector && !one_number && d < loop.ndim(); ++d) {
      vector = loop.stride(d, k) % 16 == 0;
    }
  }
  if (const auto launch = vector ? select_vector<V>(args.op, args.out.dtype) : nullptr) {
    return launch(args.params, operands, loop, items);
  }
  strided_pointwise<V>(args.op)(args.params, operands, loop, items);
}

}  // namespace

void pointwise(const PointwiseArgs& args) {
  visit_compute(args.compute, [&]<class V>(V) { run<V>(args); });
}

}  // namespace tarn::cuda
