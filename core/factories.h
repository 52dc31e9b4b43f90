// Functions that make tensors. Names, argument order and defaults are libtorch's; what each returns
// is on https://pytorch.org/docs/stable/torch.html#creation-ops under the same name.
//
// `options` gives dtype, device and requires_grad:
//   zeros({2, 3}, dtype(kDouble).requires_grad(true));   ones(5, kLong);
// A dtype left out is the default dtype unless the function says otherwise, a device left out is
// the CPU. Sizes may be a braced list, a vector or one number; a negative size throws ValueError, a
// size whose bytes cannot be counted in 64 bits as well.
#pragma once

#include <functional>

#include "tarn/core/ops.h"

namespace tarn {

class Generator;

namespace detail {

// Uninitialised and contiguous: what every op allocates its result with.
Tensor make_empty(IntArrayRef sizes, ScalarType dtype, Device device);
// The same for the result of an op on `operands`, laid out in memory as they are: with their
// strides if they agree and leave no gaps, else dense in the order of theirs.
Tensor make_result(IntArrayRef sizes, ScalarType dtype, Device device, TensorList operands);

// What a kernel gets of an operand that may be left out: null data if it is.
inline View view_or_null(const Tensor& t) { return t.defined() ? t.impl().view() : View{}; }

// `value` as an element of a tensor of `dtype`; throws ValueError where an integer cannot hold it.
FillValue fill_value(const Scalar& value, ScalarType dtype);

// The nested braces of tensor({{1, 2}, {3, 4}}): a number, a list of such, or a finished tensor.
class TensorDataContainer {
 public:
  // {}: one dimension of size 0.
  TensorDataContainer() : sizes_{0}, dtype_(get_default_dtype()) {}
  template <class T>
  requires(std::is_arithmetic_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
      TensorDataContainer(T value)  // NOLINT
      : kind_(Kind::Number), dtype_(ScalarTypeOf<T>), scalar_(value) {}
  // Throws ShapeError unless all parts have equal sizes, TypeError unless they have one type. The
  // list must outlive the container, which a call such as tensor({1, 2}) guarantees.
  TensorDataContainer(std::initializer_list<TensorDataContainer> list);  // NOLINT
  template <class T>
  TensorDataContainer(ArrayRef<T> values)  // NOLINT
      : TensorDataContainer(values.data(), values.size(), ScalarTypeOf<T>) {}
  template <class T>
  requires(!std::is_same_v<T, bool>) TensorDataContainer(const std::vector<T>& values)  // NOLINT
      : TensorDataContainer(ArrayRef<T>(values)) {}
  TensorDataContainer(const std::vector<bool>& values);  // NOLINT

  bool is_scalar() const { return kind_ == Kind::Number; }
  bool is_init_list() const { return kind_ == Kind::List; }
  bool is_tensor() const { return kind_ == Kind::Values; }
  // Each throws Error unless the container is of that kind.
  const Scalar& scalar() const;
  const std::initializer_list<TensorDataContainer>& init_list() const;
  const Tensor& tensor() const;
  IntArrayRef sizes() const { return sizes_; }
  // The C++ type of the numbers: tensor() makes int64 of int, and the default dtype of double.
  ScalarType scalar_type() const { return dtype_; }
  Tensor to_tensor(const TensorOptions& options) const;

 private:
  enum class Kind : int8_t { Number, List, Values };
  TensorDataContainer(const void* values, size_t count, ScalarType dtype);
  void write(const View& out) const;

  Kind kind_ = Kind::List;
  DimVector sizes_;
  ScalarType dtype_;
  Scalar scalar_;
  std::initializer_list<TensorDataContainer> list_;
  Tensor tensor_;
};
// "{{1, 2}, {3, 4}}"
std::ostream& operator<<(std::ostream& os, const TensorDataContainer& data);

}  // namespace detail

// --- Filled --------------------------------------------------------------------------------------
// Uninitialised memory.
Tensor empty(IntArrayRef sizes, const TensorOptions& options = {});
// Strides in elements; the storage reaches up to the last element.
Tensor empty_strided(IntArrayRef sizes, IntArrayRef strides, const TensorOptions& options = {});
Tensor zeros(IntArrayRef sizes, const TensorOptions& options = {});
Tensor ones(IntArrayRef sizes, const TensorOptions& options = {});
// dtype, if left out: bool, int64 or the default dtype, by the kind of `value`.
Tensor full(IntArrayRef sizes, const Scalar& value, const TensorOptions& options = {});
// 0-dim.
Tensor scalar_tensor(const Scalar& value, const TensorOptions& options = {});
// Ones on the diagonal of an (n, m) matrix; m = n if left out.
Tensor eye(int64_t n, const TensorOptions& options = {});
Tensor eye(int64_t n, int64_t m, const TensorOptions& options = {});

// --- From data -----------------------------------------------------------------------------------
// Copies numbers: tensor(2.5), tensor({1, 2}), tensor({{1., 2.}, {3., 4.}}),
// tensor(std::vector<int>{..}). dtype, if left out: int64 for int and long, the default dtype for
// float and double, else the type of the numbers. tensor({}) has size 0.
Tensor tensor(const detail::TensorDataContainer& data, const TensorOptions& options = {});
// A tensor over memory that stays the caller's and must outlive every tensor that shares it.
// `deleter`, if given, is called with `data` when the last of these is gone.
Tensor from_blob(void* data, IntArrayRef sizes, const TensorOptions& options = {});
Tensor from_blob(void* data, IntArrayRef sizes, const std::function<void(void*)>& deleter,
                 const TensorOptions& options = {});
Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides,
                 const TensorOptions& options = {});
Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides,
                 const std::function<void(void*)>& deleter, const TensorOptions& options = {});

// --- Ranges --------------------------------------------------------------------------------------
// start, start + step, ... up to but without `end`: ceil((end - start) / step) numbers. dtype, if
// left out: int64 if all are integers, else the default dtype. Throws ValueError for a step of 0 or
// one that leads away from `end`.
Tensor arange(const Scalar& end, const TensorOptions& options = {});
Tensor arange(const Scalar& start, const Scalar& end, const TensorOptions& options = {});
Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step,
              const TensorOptions& options = {});
// `steps` evenly spaced numbers from `start` to `end`, both included.
Tensor linspace(const Scalar& start, const Scalar& end, int64_t steps,
                const TensorOptions& options = {});

// base to the powers linspace(start, end, steps).
Tensor logspace(const Scalar& start, const Scalar& end, int64_t steps, double base = 10,
                const TensorOptions& options = {});

// --- Random numbers ------------------------------------------------------------------------------
// From `generator`, or the device's default generator (core/random.h): one seed, PyTorch's numbers.
// Uniform in [0, 1).
Tensor rand(IntArrayRef sizes, const TensorOptions& options = {});
Tensor rand(IntArrayRef sizes, Generator* generator, const TensorOptions& options = {});
// Mean 0, standard deviation 1.
Tensor randn(IntArrayRef sizes, const TensorOptions& options = {});
Tensor randn(IntArrayRef sizes, Generator* generator, const TensorOptions& options = {});
// Integers in [low, high); low = 0 and dtype int64 if left out.
Tensor randint(int64_t high, IntArrayRef sizes, const TensorOptions& options = {});
Tensor randint(int64_t high, IntArrayRef sizes, Generator* generator,
               const TensorOptions& options = {});
Tensor randint(int64_t low, int64_t high, IntArrayRef sizes, const TensorOptions& options = {});
Tensor randint(int64_t low, int64_t high, IntArrayRef sizes, Generator* generator,
               const TensorOptions& options = {});
// 0 .. n-1 in random order; dtype int64 if left out.
Tensor randperm(int64_t n, const TensorOptions& options = {});
Tensor randperm(int64_t n, Generator* generator, const TensorOptions& options = {});

// --- Like another tensor -------------------------------------------------------------------------
// Its sizes, order of dimensions in memory, dtype and device, the last two unless options has them.
Tensor empty_like(const Tensor& x, const TensorOptions& options = {});
Tensor zeros_like(const Tensor& x, const TensorOptions& options = {});
Tensor ones_like(const Tensor& x, const TensorOptions& options = {});
Tensor full_like(const Tensor& x, const Scalar& value, const TensorOptions& options = {});
Tensor rand_like(const Tensor& x, const TensorOptions& options = {});
Tensor randn_like(const Tensor& x, const TensorOptions& options = {});
Tensor randint_like(const Tensor& x, int64_t high, const TensorOptions& options = {});
Tensor randint_like(const Tensor& x, int64_t low, int64_t high, const TensorOptions& options = {});

}  // namespace tarn
