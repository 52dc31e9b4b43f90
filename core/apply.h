// How an op named in core/ops.h reaches its kernel and its gradient.
//
// unary<op::Exp>(x) and its like only pass the op's number on: one routine (core/pointwise.cpp,
// core/reduce.cpp) serves all ops, so a program that includes Tarn compiles none of their code.
#pragma once

#include "tarn/kernels/pointwise_ops.h"
#include "tarn/kernels/reduce_ops.h"

#include "tarn/core/array_ref.h"
#include "tarn/core/scalar.h"

namespace tarn {

class Tensor;

// A tensor or a number. A number takes part in type promotion by its kind only: float32 * 2.5 is
// float32, int64 * 2.5 is the default dtype.
class Operand {
 public:
  Operand(const Tensor& t) : tensor_(&t) {}  // NOLINT
  Operand(const Scalar& s) : scalar_(s) {}   // NOLINT
  template <class T>
  requires std::is_arithmetic_v<T> Operand(T value) : scalar_(value) {}  // NOLINT
  const Tensor* tensor() const { return tensor_; }
  const Scalar& scalar() const { return scalar_; }

 private:
  const Tensor* tensor_ = nullptr;
  Scalar scalar_;
};

namespace detail {

// The result of op number `op` (of op::PointwiseOps) on 1 to 3 operands, recorded if need be.
// `params` points to the op struct, `params_size` is its size.
Tensor pointwise(int op, const void* params, size_t params_size, const Operand* in);
// The same, written into `self`, which keeps its dtype and shape. `in` usually starts with self.
void pointwise_into(const Tensor& self, int op, const void* params, size_t params_size,
                    const Operand* in);
// Records that op number `op`, whose backward reads no input, has made `out` of what out's grad_fn
// gives: for kernels that end with it.
void record_pointwise(const Tensor& out, int op, const void* params, size_t params_size);
// Reduction number `op` (of op::ReduceOps) over `dims` (none: all), computed in `dtype` if given.
Tensor reduce(int op, const void* params, size_t params_size, const Tensor& x, IntArrayRef dims,
              bool keepdim, ScalarType dtype);

}  // namespace detail

template <class Op>
inline constexpr int pointwise_id = index_of<Op, op::PointwiseOps>;

template <class Op, class... In>
auto pointwise(const Op& op, const In&... in) {
  static_assert(Op::kArity == sizeof...(In));
  const Operand operands[] = {in...};
  return detail::pointwise(pointwise_id<Op>, &op, sizeof(Op), operands);
}
// self = op(self, others...) in place; returns self.
template <class Op, class T, class... In>
const T& pointwise_(const Op& op, const T& self, const In&... others) {
  static_assert(Op::kArity == 1 + sizeof...(In));
  const Operand operands[] = {self, others...};
  detail::pointwise_into(self, pointwise_id<Op>, &op, sizeof(Op), operands);
  return self;
}
template <class Op>
auto reduce(const Op& op, const Tensor& x, IntArrayRef dims = {}, bool keepdim = false,
            ScalarType dtype = ScalarType::Undefined) {
  return detail::reduce(index_of<Op, op::ReduceOps>, &op, sizeof(Op), x, dims, keepdim, dtype);
}

}  // namespace tarn
