#include "tarn/core/factories.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "tarn/core/grad_mode.h"
#include "tarn/core/random.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

std::atomic<ScalarType> default_dtype{kFloat};

[[noreturn, gnu::cold]] void bad_sizes(IntArrayRef sizes, ScalarType dtype) {
  for (int64_t size : sizes) {
    if (size < 0)
      throw ValueError(
          str("[empty] Trying to create tensor with negative dimension ", size, ": ", sizes));
  }
  throw ValueError(str("[empty] a tensor of sizes ", sizes, " and dtype ", dtype,
                       " has more bytes than can be counted"));
}

void fill(const Tensor& out, const Scalar& value) {
  kernels(out.device()).fill(out.impl().view(), detail::fill_value(value, out.dtype()));
}

// What every factory ends with.
Tensor finish(const Tensor& out, const TensorOptions& options) {
  if (options.requires_grad()) out.requires_grad_();
  return out;
}

Tensor filled(IntArrayRef sizes, const Scalar& value, const TensorOptions& options) {
  const Tensor out = detail::make_empty(sizes, options.dtype(), options.device());
  fill(out, value);
  return finish(out, options);
}

TensorOptions with_default(const TensorOptions& options, ScalarType dtype) {
  return options.has_dtype() ? options : options.dtype(dtype);
}

// A tensor of x's sizes, undefined contents.
Tensor make_like(const Tensor& x, const TensorOptions& options) {
  const ScalarType dtype = options.dtype_opt().value_or(x.dtype());
  const Device device = options.device_opt().value_or(x.device());
  return detail::make_result(x.sizes(), dtype, device, {&x, 1});
}

// Elements from the first to the last one in memory.
int64_t storage_extent(const char* op, IntArrayRef sizes, IntArrayRef strides) {
  int64_t extent = 1;
  bool overflow = false, is_empty = false;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] < 0) bad_sizes(sizes, kByte);
    if (strides[d] < 0) {
      throw ValueError(
          str("[", op, "] Negative strides are not supported, but got strides: ", strides));
    }
    int64_t reach;
    overflow |= __builtin_mul_overflow(std::max<int64_t>(sizes[d] - 1, 0), strides[d], &reach);
    overflow |= __builtin_add_overflow(extent, reach, &extent);
    is_empty |= sizes[d] == 0;
  }
  if (overflow || extent > INT64_MAX / 8) {
    throw ValueError(str("[", op, "] sizes ", sizes, " with strides ", strides,
                         " reach beyond what can be counted"));
  }
  return is_empty ? 0 : extent;
}

bool fits_double(int64_t n) { return std::abs(n) <= (int64_t{1} << 53); }

int64_t arange_size(const Scalar& start, const Scalar& end, const Scalar& step, ScalarType dtype) {
  const double from = start.toDouble(), to = end.toDouble(), by = step.toDouble();
  const auto fail = [&](const char* what) {
    throw ValueError(str("[arange] ", what, ": ", start, " -> ", end, ", step ", step));
  };
  if (!std::isfinite(from) || !std::isfinite(to)) fail("unsupported range");
  const bool integral = !is_floating_point(dtype);
  if (!(by > 0 || by < 0) || (integral && step.toLong() == 0)) fail("step must be nonzero");
  if (by > 0 ? to < from : to > from)
    fail("upper bound and lower bound inconsistent with step sign");
  if (dtype != kLong) {
    const double size = std::ceil((to - from) / by);
    if (!(size >= 0 && size < 0x1p63)) fail("invalid size, possible overflow?");
    return static_cast<int64_t>(size);
  }
  // Unsigned: the distance of two int64 need not fit in one.
  const auto magnitude = [](int64_t a, int64_t b) {
    return a > b ? static_cast<uint64_t>(a) - static_cast<uint64_t>(b)
                 : static_cast<uint64_t>(b) - static_cast<uint64_t>(a);
  };
  const uint64_t distance = magnitude(start.toLong(), end.toLong());
  const uint64_t size = distance == 0 ? 0 : (distance - 1) / magnitude(step.toLong(), 0) + 1;
  if (size > INT64_MAX) fail("invalid size, possible overflow?");
  return static_cast<int64_t>(size);
}

}  // namespace

ScalarType get_default_dtype() { return default_dtype.load(std::memory_order_relaxed); }

void set_default_dtype(ScalarType dtype) {
  if (!is_floating_point(dtype)) {
    throw TypeError(
        str("[set_default_dtype] only floating-point types are supported as the default type, got ",
            dtype));
  }
  default_dtype.store(dtype, std::memory_order_relaxed);
}

Tensor detail::make_empty(IntArrayRef sizes, ScalarType dtype, Device device) {
  // Sizes of 0 count as 1, because strides are computed that way and must not overflow either.
  int64_t nbytes = element_size(dtype);
  bool overflow = false, negative = false, is_empty = false;
  for (int64_t size : sizes) {
    negative |= size < 0;
    is_empty |= size == 0;
    overflow |= __builtin_mul_overflow(nbytes, size > 0 ? size : 1, &nbytes);
  }
  if (negative || overflow) [[unlikely]]
    bad_sizes(sizes, dtype);
  Storage storage = Storage::allocate(is_empty ? 0 : static_cast<size_t>(nbytes), device);
  return Tensor(IntrusivePtr<TensorImpl>::adopt(new TensorImpl(std::move(storage), dtype, sizes)));
}

FillValue detail::fill_value(const Scalar& value, ScalarType dtype) {
  if (is_floating_point(dtype)) return {.floating = value.toDouble()};
  const auto integral = [&]<class T>(T) { return static_cast<int64_t>(value.to<T>()); };
  return {.integral = visit(dtype, integral), .is_integral = true};
}

Tensor detail::make_result(IntArrayRef sizes, ScalarType dtype, Device device,
                           TensorList operands) {
  Tensor out = make_empty(sizes, dtype, device);
  if (std::all_of(operands.begin(), operands.end(),
                  [](const Tensor& t) { return t.is_contiguous(); }))
    return out;
  const IntArrayRef first = operands[0].strides();
  const bool alike = std::all_of(operands.begin(), operands.end(), [&](const Tensor& t) {
    return t.sizes() == sizes && t.strides() == first;
  });
  if (alike && is_dense(sizes, first)) {
    out.impl().set_geometry(sizes, first, 0);
    return out;
  }
  SmallVector<DimVector, 4> strides;
  SmallVector<IntArrayRef, 4> read;
  for (const Tensor& t : operands) {
    strides.push_back(DimVector(sizes.size(), 0));
    broadcast_strides(t.sizes(), t.strides(), sizes, strides.back().data());
  }
  for (const DimVector& s : strides) read.push_back(s);
  out.impl().set_geometry(sizes, strides_like(sizes, read), 0);
  return out;
}

// --- Filled -------------------------------------------------------------------------------------

Tensor empty(IntArrayRef sizes, const TensorOptions& options) {
  return finish(detail::make_empty(sizes, options.dtype(), options.device()), options);
}

Tensor empty_strided(IntArrayRef sizes, IntArrayRef strides, const TensorOptions& options) {
  if (sizes.size() != strides.size()) {
    throw ShapeError(str("[empty_strided] dimensionality of sizes ", sizes,
                         " must match that of strides ", strides));
  }
  const int64_t extent = storage_extent("empty_strided", sizes, strides);
  const Tensor flat = detail::make_empty(extent, options.dtype(), options.device());
  return finish(TensorBase::from_storage(flat.storage(), options.dtype(), sizes, strides), options);
}

Tensor zeros(IntArrayRef sizes, const TensorOptions& options) { return filled(sizes, 0, options); }

Tensor ones(IntArrayRef sizes, const TensorOptions& options) { return filled(sizes, 1, options); }

Tensor full(IntArrayRef sizes, const Scalar& value, const TensorOptions& options) {
  const ScalarType dtype = value.isFloatingPoint() ? get_default_dtype() : value.type();
  return filled(sizes, value, with_default(options, dtype));
}

Tensor scalar_tensor(const Scalar& value, const TensorOptions& options) {
  return filled({}, value, options);
}

Tensor eye(int64_t n, const TensorOptions& options) { return eye(n, n, options); }

Tensor eye(int64_t n, int64_t m, const TensorOptions& options) {
  const Tensor out = zeros({n, m}, options.requires_grad(false));
  if (out.numel() > 0) {
    fill(TensorBase::from_storage(out.storage(), out.dtype(), std::min(n, m), m + 1), 1);
  }
  return finish(out, options);
}

// --- From data ----------------------------------------------------------------------------------

Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides,
                 const std::function<void(void*)>& deleter, const TensorOptions& options) {
  if (sizes.size() != strides.size()) {
    throw ShapeError(str("[from_blob] dimensionality of sizes ", sizes,
                         " must match that of strides ", strides));
  }
  const int64_t extent = storage_extent("from_blob", sizes, strides);
  TARN_CHECK(data || extent == 0, "[from_blob] a null pointer was given for a tensor of sizes ",
             sizes);
  const int64_t nbytes = extent * element_size(options.dtype());
  Storage storage = Storage::borrow(data, static_cast<size_t>(nbytes), options.device(), deleter);
  return finish(TensorBase::from_storage(std::move(storage), options.dtype(), sizes, strides),
                options);
}

Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides, const TensorOptions& options) {
  return from_blob(data, sizes, strides, nullptr, options);
}

Tensor from_blob(void* data, IntArrayRef sizes, const std::function<void(void*)>& deleter,
                 const TensorOptions& options) {
  return from_blob(data, sizes, contiguous_strides(sizes), deleter, options);
}

Tensor from_blob(void* data, IntArrayRef sizes, const TensorOptions& options) {
  return from_blob(data, sizes, contiguous_strides(sizes), nullptr, options);
}

// --- Ranges -------------------------------------------------------------------------------------

Tensor arange(const Scalar& end, const TensorOptions& options) {
  return arange(0, end, 1, options);
}

Tensor arange(const Scalar& start, const Scalar& end, const TensorOptions& options) {
  return arange(start, end, 1, options);
}

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step,
              const TensorOptions& options) {
  const bool integral = start.isIntegral(true) && end.isIntegral(true) && step.isIntegral(true);
  const ScalarType dtype = options.dtype_opt().value_or(integral ? kLong : get_default_dtype());
  if (dtype == kBool) throw TypeError("[arange] is not defined for dtype Bool");
  const int64_t size = arange_size(start, end, step, dtype);
  const Tensor out = detail::make_empty(size, dtype, options.device());
  const auto& table = kernels(out.device());
  if (is_floating_point(dtype) || (fits_double(start.toLong()) && fits_double(step.toLong()))) {
    table.arange(out.impl().view(), start.toDouble(), step.toDouble());
  } else {  // the kernel takes doubles, which cannot hold these
    const NoGradGuard guard;
    table.arange(out.impl().view(), 0, 1);
    out.mul_(step.toLong()).add_(start.toLong());
  }
  return finish(out, options);
}

Tensor linspace(const Scalar& start, const Scalar& end, int64_t steps,
                const TensorOptions& options) {
  if (steps < 0)
    throw ValueError(str("[linspace] number of steps must be non-negative, got ", steps));
  const ScalarType dtype = options.dtype();
  const Tensor out = detail::make_empty(steps, dtype, options.device());
  if (steps == 0) return finish(out, options);
  const auto& table = kernels(out.device());
  const double from = start.toDouble(),
               step = steps > 1 ? (end.toDouble() - from) / static_cast<double>(steps - 1) : 0;
  // The kernel counts integers in whole steps, so these are rounded down from floating-point
  // numbers.
  const bool integral = !is_floating_point(dtype);
  const Tensor numbers = integral ? detail::make_empty(steps, kDouble, options.device()) : out;
  table.arange(numbers.impl().view(), from, step);
  if (integral) table.copy(out.impl().view(), numbers.impl().view());
  // Without the last rounding error.
  if (steps > 1) fill(TensorBase::from_storage(out.storage(), dtype, {}, {}, steps - 1), end);
  return finish(out, options);
}

Tensor logspace(const Scalar& start, const Scalar& end, int64_t steps, double base,
                const TensorOptions& options) {
  const Tensor powers =
      pow(base, linspace(start, end, steps, options.dtype(kDouble).requires_grad(false)));
  return finish(powers.to(options.dtype()), options);
}

// --- Like another tensor ------------------------------------------------------------------------

Tensor empty_like(const Tensor& x, const TensorOptions& options) {
  return finish(make_like(x, options), options);
}

Tensor zeros_like(const Tensor& x, const TensorOptions& options) {
  return full_like(x, 0, options);
}

Tensor ones_like(const Tensor& x, const TensorOptions& options) { return full_like(x, 1, options); }

Tensor full_like(const Tensor& x, const Scalar& value, const TensorOptions& options) {
  const Tensor out = make_like(x, options);
  fill(out, value);
  return finish(out, options);
}

// x's dtype and device, unless options has them.
static TensorOptions options_like(const Tensor& x, const TensorOptions& options) {
  return options.dtype(options.dtype_opt().value_or(x.dtype()))
      .device(options.device_opt().value_or(x.device()));
}

Tensor Tensor::new_empty(IntArrayRef sizes, const TensorOptions& options) const {
  return empty(sizes, options_like(*this, options));
}
Tensor Tensor::new_full(IntArrayRef sizes, const Scalar& value,
                        const TensorOptions& options) const {
  return full(sizes, value, options_like(*this, options));
}
Tensor Tensor::new_zeros(IntArrayRef sizes, const TensorOptions& options) const {
  return new_full(sizes, 0, options);
}
Tensor Tensor::new_ones(IntArrayRef sizes, const TensorOptions& options) const {
  return new_full(sizes, 1, options);
}

}  // namespace tarn
