#include "tarn/kernels/reduce_ops.h"

#include "tarn/device/check.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn {

ScalarType reduce_result_type(ReduceResult rule, const char* op_name, ScalarType input) {
  switch (rule) {
    case ReduceResult::kPromoteInts:
      return is_floating_point(input) ? input : kLong;
    case ReduceResult::kSame:
      return input;
    case ReduceResult::kBool:
      return input == kByte ? kByte : kBool;
    case ReduceResult::kIndex:
      return kLong;
    case ReduceResult::kFloating:
      break;
  }
  if (is_floating_point(input)) return input;
  throw TypeError(str("[", op_name, "] ", op_name,
                      "(): could not infer output dtype. Input dtype must be ",
                      "either a floating point or complex dtype. Got: ", input));
}

void fail_empty_reduction(const char* op_name, int64_t dim) {
  if (dim >= 0) {
    throw IndexError(str("[", op_name, "] ", op_name, "(): Expected reduction dim ", dim,
                         " to have non-zero size."));
  }
  throw IndexError(str("[", op_name, "] ", op_name,
                       "(): Expected reduction dim to be specified for ",
                       "input.numel() == 0. Specify the reduction dim with the 'dim' argument."));
}

void sum_rows(void (*reduce)(const ReduceArgs&), const View& out, const View& x) {
  const int64_t strides[] = {out.strides[0], 0};
  const op::Sum sum;
  reduce({index_of<op::Sum, op::ReduceOps>, &sum, {out.data, x.sizes, strides, 2, out.dtype}, x});
}

}  // namespace tarn
