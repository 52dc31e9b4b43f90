// Tensor and its operations. Names, argument order and defaults are libtorch's; what each computes
// is on https://pytorch.org/docs/stable/torch.html under the same name.
//
// Conventions: dimensions may be negative (-1 is the last); two-tensor ops broadcast; operands of
// different dtypes are promoted as in PyTorch; a name ending in _ writes into its tensor and
// returns it. Every operand must be on the same device. Wrong arguments throw tarn::Error before
// anything changes.
#pragma once

#include <concepts>
#include <string_view>
#include <tuple>

#include "tarn/core/apply.h"
#include "tarn/core/tensor_base.h"

namespace tarn {

class Generator;

class Tensor : public TensorBase {
 public:
  using TensorBase::TensorBase;
  Tensor() = default;
  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) noexcept = default;
  // An assignment to a name rebinds it; to an expression (t[0] = 1, t.index({i}) = u) it writes
  // through.
  Tensor& operator=(const Tensor& other) & = default;
  Tensor& operator=(Tensor&& other) & noexcept = default;
  const Tensor& operator=(const Tensor& other) && { return copy_(other); }
  const Tensor& operator=(Tensor&& other) && { return copy_(other); }
  const Tensor& operator=(const Scalar& value) && { return fill_(value); }

  // Calls f with the gradient when it has been computed; f may return a replacement. The result
  // is a handle for remove_hook.
  template <class F>
  unsigned register_hook(F&& f) const {
    if constexpr (std::is_void_v<std::invoke_result_t<F, const Tensor&>>) {
      return add_hook([f = std::forward<F>(f)](const Tensor& g) mutable {
        f(g);
        return g;
      });
    } else {
      return add_hook(std::forward<F>(f));
    }
  }

  // --- Conversion and copies (core/ops_copy.cpp) ----------------------------------------------
  // The tensor itself when it already is what is asked for, unless `copy`.
  Tensor to(const TensorOptions& options, bool non_blocking = false, bool copy = false) const;
  Tensor to(ScalarType dtype, bool non_blocking = false, bool copy = false) const;
  Tensor to(Device device, ScalarType dtype, bool non_blocking = false, bool copy = false) const;
  Tensor to(const Tensor& other, bool non_blocking = false, bool copy = false) const;
  Tensor toType(ScalarType dtype) const { return to(dtype); }
  Tensor type_as(const Tensor& other) const { return to(other); }
  Tensor cpu() const { return to(Device(kCPU)); }
  Tensor cuda(int64_t index = -1) const { return to(Device(kCUDA, index)); }
  Tensor clone(MemoryFormat format = MemoryFormat::Preserve) const;
  Tensor contiguous() const;
  // Without history, sharing bytes. In-place writes through data() escape the version check.
  Tensor detach() const;
  const Tensor& detach_() const;
  Tensor data() const;
  Tensor tensor_data() const { return data(); }
  Tensor variable_data() const { return data(); }
  void set_data(const Tensor& other) const;
  const Tensor& copy_(const Tensor& source, bool non_blocking = false) const;
  const Tensor& fill_(const Scalar& value) const;
  const Tensor& fill_(const Tensor& value) const;
  const Tensor& zero_() const { return fill_(0); }
  const Tensor& resize_(IntArrayRef sizes) const;
  // With this tensor's dtype and device, unless options has them.
  Tensor new_empty(IntArrayRef sizes, const TensorOptions& options = {}) const;
  Tensor new_full(IntArrayRef sizes, const Scalar& value, const TensorOptions& options = {}) const;
  Tensor new_zeros(IntArrayRef sizes, const TensorOptions& options = {}) const;
  Tensor new_ones(IntArrayRef sizes, const TensorOptions& options = {}) const;

  // --- Views and shapes (core/ops_shape.cpp) --------------------------------------------------
  Tensor view(IntArrayRef sizes) const;  // throws where the strides do not allow it: reshape copies
  Tensor view_as(const Tensor& other) const { return view(other.sizes()); }
  Tensor reshape(IntArrayRef sizes) const;
  Tensor reshape_as(const Tensor& other) const { return reshape(other.sizes()); }
  Tensor flatten(int64_t start_dim = 0, int64_t end_dim = -1) const;
  Tensor unflatten(int64_t dim, IntArrayRef sizes) const;
  Tensor squeeze() const;
  Tensor squeeze(int64_t dim) const;
  Tensor unsqueeze(int64_t dim) const;
  Tensor permute(IntArrayRef dims) const;
  Tensor transpose(int64_t dim0, int64_t dim1) const;
  const Tensor& transpose_(int64_t dim0, int64_t dim1) const;
  const Tensor& squeeze_() const;
  const Tensor& squeeze_(int64_t dim) const;
  const Tensor& unsqueeze_(int64_t dim) const;
  Tensor t() const;
  const Tensor& t_() const { return dim() < 2 ? *this : transpose_(0, 1); }
  Tensor mT() const { return transpose(-2, -1); }
  Tensor movedim(int64_t source, int64_t destination) const;
  Tensor expand(IntArrayRef sizes) const;
  Tensor expand_as(const Tensor& other) const { return expand(other.sizes()); }
  Tensor as_strided(IntArrayRef sizes, IntArrayRef strides,
                    std::optional<int64_t> storage_offset = std::nullopt) const;
  Tensor narrow(int64_t dim, int64_t start, int64_t length) const;
  Tensor select(int64_t dim, int64_t index) const;
  Tensor slice(int64_t dim, std::optional<int64_t> start = std::nullopt,
               std::optional<int64_t> end = std::nullopt, int64_t step = 1) const;
  Tensor diagonal(int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1) const;
  Tensor unfold(int64_t dim, int64_t size, int64_t step) const;
  Tensor repeat(IntArrayRef repeats) const;
  Tensor repeat_interleave(int64_t repeats, std::optional<int64_t> dim = std::nullopt) const;
  Tensor roll(IntArrayRef shifts, IntArrayRef dims = {}) const;
  Tensor flip(IntArrayRef dims) const;
  std::vector<Tensor> chunk(int64_t chunks, int64_t dim = 0) const;
  std::vector<Tensor> split(int64_t split_size, int64_t dim = 0) const;
  std::vector<Tensor> split(IntArrayRef split_sizes, int64_t dim = 0) const;
  std::vector<Tensor> tensor_split(int64_t sections, int64_t dim = 0) const;
  std::vector<Tensor> unbind(int64_t dim = 0) const;
  Tensor sum_to_size(IntArrayRef sizes) const;  // undoes a broadcast by summing
  Tensor tril(int64_t diagonal = 0) const;
  Tensor triu(int64_t diagonal = 0) const;

  // --- Indexing (core/indexing.h, core/ops_index.cpp) -----------------------------------------
  Tensor operator[](int64_t index) const { return select(0, index); }
  Tensor operator[](const Scalar& index) const { return select(0, index.toLong()); }
  Tensor operator[](const Tensor& index) const;
  Tensor index(ArrayRef<indexing::TensorIndex> indices) const;
  const Tensor& index_put_(ArrayRef<indexing::TensorIndex> indices, const Tensor& values,
                           bool accumulate = false) const;
  const Tensor& index_put_(ArrayRef<indexing::TensorIndex> indices, const Scalar& value,
                           bool accumulate = false) const;
  Tensor index_put(ArrayRef<indexing::TensorIndex> indices, const Tensor& values,
                   bool accumulate = false) const;
  Tensor index_copy(int64_t dim, const Tensor& index, const Tensor& source) const;
  Tensor index_fill(int64_t dim, const Tensor& index, const Scalar& value) const;
  Tensor index_select(int64_t dim, const Tensor& index) const;
  const Tensor& index_add_(int64_t dim, const Tensor& index, const Tensor& source,
                           const Scalar& alpha = 1) const;
  Tensor index_add(int64_t dim, const Tensor& index, const Tensor& source,
                   const Scalar& alpha = 1) const;
  const Tensor& index_copy_(int64_t dim, const Tensor& index, const Tensor& source) const;
  const Tensor& index_fill_(int64_t dim, const Tensor& index, const Scalar& value) const;
  Tensor gather(int64_t dim, const Tensor& index) const;
  Tensor take_along_dim(const Tensor& index, int64_t dim) const { return gather(dim, index); }
  const Tensor& scatter_(int64_t dim, const Tensor& index, const Tensor& source) const;
  const Tensor& scatter_(int64_t dim, const Tensor& index, const Scalar& value) const;
  const Tensor& scatter_add_(int64_t dim, const Tensor& index, const Tensor& source) const;
  Tensor scatter(int64_t dim, const Tensor& index, const Tensor& source) const;
  Tensor scatter(int64_t dim, const Tensor& index, const Scalar& value) const;
  Tensor scatter_add(int64_t dim, const Tensor& index, const Tensor& source) const;
  Tensor masked_select(const Tensor& mask) const;
  Tensor masked_fill(const Tensor& mask, const Scalar& value) const;
  Tensor masked_fill(const Tensor& mask, const Tensor& value) const;
  const Tensor& masked_fill_(const Tensor& mask, const Scalar& value) const;
  const Tensor& masked_fill_(const Tensor& mask, const Tensor& value) const;
  Tensor nonzero() const;  // (count, dim) int64

  // --- Pointwise (formulas: kernels/unary_ops.h, binary_ops.h) --------------------------------
  Tensor neg() const;
  Tensor abs() const { return pointwise(op::Abs{}, *this); }
  Tensor sign() const { return pointwise(op::Sign{}, *this); }
  Tensor square() const;  // of bool: int64
  Tensor reciprocal() const { return pointwise(op::Reciprocal{}, *this); }
  Tensor sqrt() const { return pointwise(op::Sqrt{}, *this); }
  Tensor rsqrt() const { return pointwise(op::Rsqrt{}, *this); }
  Tensor floor() const { return pointwise(op::Floor{}, *this); }
  Tensor ceil() const { return pointwise(op::Ceil{}, *this); }
  Tensor round() const { return pointwise(op::Round{}, *this); }
  Tensor trunc() const { return pointwise(op::Trunc{}, *this); }
  Tensor exp() const { return pointwise(op::Exp{}, *this); }
  Tensor expm1() const { return pointwise(op::Expm1{}, *this); }
  Tensor log() const { return pointwise(op::Log{}, *this); }
  Tensor log2() const { return pointwise(op::Log2{}, *this); }
  Tensor log10() const { return pointwise(op::Log10{}, *this); }
  Tensor log1p() const { return pointwise(op::Log1p{}, *this); }
  Tensor sin() const { return pointwise(op::Sin{}, *this); }
  Tensor cos() const { return pointwise(op::Cos{}, *this); }
  Tensor tan() const { return pointwise(op::Tan{}, *this); }
  Tensor asin() const { return pointwise(op::Asin{}, *this); }
  Tensor acos() const { return pointwise(op::Acos{}, *this); }
  Tensor atan() const { return pointwise(op::Atan{}, *this); }
  Tensor sinh() const { return pointwise(op::Sinh{}, *this); }
  Tensor cosh() const { return pointwise(op::Cosh{}, *this); }
  Tensor erf() const { return pointwise(op::Erf{}, *this); }
  Tensor erfc() const { return pointwise(op::Erfc{}, *this); }
  Tensor tanh() const { return pointwise(op::Tanh{}, *this); }
  Tensor sigmoid() const { return pointwise(op::Sigmoid{}, *this); }
  Tensor relu() const { return pointwise(op::Relu{}, *this); }
  Tensor logical_not() const { return pointwise(op::LogicalNot{}, *this); }
  Tensor bitwise_not() const;  // of bool: logical_not
  Tensor isnan() const { return pointwise(op::IsNan{}, *this); }
  Tensor isinf() const { return pointwise(op::IsInf{}, *this); }
  Tensor isfinite() const { return pointwise(op::IsFinite{}, *this); }
  // Either bound may be left out.
  Tensor clamp(std::optional<Scalar> min = std::nullopt,
               std::optional<Scalar> max = std::nullopt) const;
  Tensor clamp(const Tensor& min, const Tensor& max = {}) const;
  Tensor clip(std::optional<Scalar> min = std::nullopt,
              std::optional<Scalar> max = std::nullopt) const {
    return clamp(min, max);
  }
  Tensor clamp_min(const Scalar& min) const { return clamp(min); }
  Tensor clamp_max(const Scalar& max) const { return clamp(std::nullopt, max); }

  Tensor add(const Operand& other, const Scalar& alpha = 1) const;
  Tensor sub(const Operand& other, const Scalar& alpha = 1) const;
  Tensor mul(const Operand& other) const { return pointwise(op::Mul{}, *this, other); }
  Tensor div(const Operand& other) const { return pointwise(op::Div{}, *this, other); }
  // rounding_mode: "floor", "trunc".
  Tensor div(const Operand& other, std::string_view rounding_mode) const;
  Tensor floor_divide(const Operand& other) const { return div(other, "floor"); }
  Tensor remainder(const Operand& other) const;
  Tensor fmod(const Operand& other) const;
  Tensor pow(const Operand& exponent) const;
  Tensor atan2(const Operand& other) const { return pointwise(op::Atan2{}, *this, other); }
  Tensor maximum(const Operand& other) const { return pointwise(op::Maximum{}, *this, other); }
  Tensor minimum(const Operand& other) const { return pointwise(op::Minimum{}, *this, other); }
  Tensor eq(const Operand& other) const { return pointwise(op::Eq{}, *this, other); }
  Tensor ne(const Operand& other) const { return pointwise(op::Ne{}, *this, other); }
  Tensor lt(const Operand& other) const { return pointwise(op::Lt{}, *this, other); }
  Tensor le(const Operand& other) const { return pointwise(op::Le{}, *this, other); }
  Tensor gt(const Operand& other) const { return pointwise(op::Gt{}, *this, other); }
  Tensor ge(const Operand& other) const { return pointwise(op::Ge{}, *this, other); }
  Tensor logical_and(const Tensor& other) const {
    return pointwise(op::LogicalAnd{}, *this, other);
  }
  Tensor logical_or(const Tensor& other) const { return pointwise(op::LogicalOr{}, *this, other); }
  Tensor logical_xor(const Tensor& other) const {
    return pointwise(op::LogicalXor{}, *this, other);
  }
  Tensor bitwise_and(const Operand& other) const {
    return pointwise(op::BitwiseAnd{}, *this, other);
  }
  Tensor bitwise_or(const Operand& other) const { return pointwise(op::BitwiseOr{}, *this, other); }
  Tensor bitwise_xor(const Operand& other) const {
    return pointwise(op::BitwiseXor{}, *this, other);
  }
  Tensor lerp(const Tensor& end, const Operand& weight) const;
  Tensor addcmul(const Tensor& a, const Tensor& b, const Scalar& value = 1) const;
  Tensor addcdiv(const Tensor& a, const Tensor& b, const Scalar& value = 1) const;

  const Tensor& add_(const Operand& other, const Scalar& alpha = 1) const;
  const Tensor& sub_(const Operand& other, const Scalar& alpha = 1) const;
  const Tensor& mul_(const Operand& other) const { return pointwise_(op::Mul{}, *this, other); }
  const Tensor& div_(const Operand& other) const { return pointwise_(op::Div{}, *this, other); }
  const Tensor& floor_divide_(const Operand& other) const;
  const Tensor& remainder_(const Operand& other) const;
  const Tensor& fmod_(const Operand& other) const;
  const Tensor& pow_(const Operand& exponent) const;
  const Tensor& neg_() const { return pointwise_(op::Neg{}, *this); }
  const Tensor& abs_() const { return pointwise_(op::Abs{}, *this); }
  const Tensor& sqrt_() const { return pointwise_(op::Sqrt{}, *this); }
  const Tensor& rsqrt_() const { return pointwise_(op::Rsqrt{}, *this); }
  const Tensor& reciprocal_() const { return pointwise_(op::Reciprocal{}, *this); }
  const Tensor& square_() const { return pointwise_(op::Square{}, *this); }
  const Tensor& exp_() const { return pointwise_(op::Exp{}, *this); }
  const Tensor& log_() const { return pointwise_(op::Log{}, *this); }
  const Tensor& expm1_() const { return pointwise_(op::Expm1{}, *this); }
  const Tensor& log1p_() const { return pointwise_(op::Log1p{}, *this); }
  const Tensor& erf_() const { return pointwise_(op::Erf{}, *this); }
  const Tensor& sign_() const { return pointwise_(op::Sign{}, *this); }
  const Tensor& trunc_() const { return pointwise_(op::Trunc{}, *this); }
  const Tensor& sin_() const { return pointwise_(op::Sin{}, *this); }
  const Tensor& cos_() const { return pointwise_(op::Cos{}, *this); }
  const Tensor& floor_() const { return pointwise_(op::Floor{}, *this); }
  const Tensor& ceil_() const { return pointwise_(op::Ceil{}, *this); }
  const Tensor& round_() const { return pointwise_(op::Round{}, *this); }
  const Tensor& tanh_() const { return pointwise_(op::Tanh{}, *this); }
  const Tensor& sigmoid_() const { return pointwise_(op::Sigmoid{}, *this); }
  const Tensor& relu_() const { return pointwise_(op::Relu{}, *this); }
  const Tensor& clamp_(std::optional<Scalar> min = std::nullopt,
                       std::optional<Scalar> max = std::nullopt) const;
  const Tensor& clamp_min_(const Scalar& min) const { return clamp_(min); }
  const Tensor& clamp_max_(const Scalar& max) const { return clamp_(std::nullopt, max); }
  const Tensor& lerp_(const Tensor& end, const Operand& weight) const;
  const Tensor& addcmul_(const Tensor& a, const Tensor& b, const Scalar& value = 1) const;
  const Tensor& addcdiv_(const Tensor& a, const Tensor& b, const Scalar& value = 1) const;
  const Tensor& operator+=(const Operand& other) const { return add_(other); }
  const Tensor& operator-=(const Operand& other) const { return sub_(other); }
  const Tensor& operator*=(const Operand& other) const { return mul_(other); }
  const Tensor& operator/=(const Operand& other) const { return div_(other); }
  Tensor operator-() const { return neg(); }
  Tensor operator~() const { return bitwise_not(); }

  // --- Reductions (kernels/reduce_ops.h). No dims: over all elements ---------------------------
  Tensor sum(std::optional<ScalarType> dtype = std::nullopt) const {
    return sum(IntArrayRef(), false, dtype);
  }
  Tensor sum(IntArrayRef dims, bool keepdim = false,
             std::optional<ScalarType> dtype = std::nullopt) const {
    return reduce(op::Sum{}, *this, dims, keepdim, dtype.value_or(ScalarType::Undefined));
  }
  Tensor mean(std::optional<ScalarType> dtype = std::nullopt) const {
    return mean(IntArrayRef(), false, dtype);
  }
  Tensor mean(IntArrayRef dims, bool keepdim = false,
              std::optional<ScalarType> dtype = std::nullopt) const {
    return reduce(op::Mean{}, *this, dims, keepdim, dtype.value_or(ScalarType::Undefined));
  }
  Tensor prod(std::optional<ScalarType> dtype = std::nullopt) const {
    return reduce(op::Prod{}, *this, {}, false, dtype.value_or(ScalarType::Undefined));
  }
  Tensor prod(int64_t dim, bool keepdim = false,
              std::optional<ScalarType> dtype = std::nullopt) const {
    return reduce(op::Prod{}, *this, dim, keepdim, dtype.value_or(ScalarType::Undefined));
  }
  Tensor amax(IntArrayRef dims = {}, bool keepdim = false) const {
    return reduce(op::Max{}, *this, dims, keepdim);
  }
  Tensor amin(IntArrayRef dims = {}, bool keepdim = false) const {
    return reduce(op::Min{}, *this, dims, keepdim);
  }
  Tensor max() const { return amax(); }
  Tensor min() const { return amin(); }
  Tensor max(const Tensor& other) const { return maximum(other); }
  Tensor min(const Tensor& other) const { return minimum(other); }
  // Values and their int64 positions along dim; the first where several are equal.
  std::tuple<Tensor, Tensor> max(int64_t dim, bool keepdim = false) const;
  std::tuple<Tensor, Tensor> min(int64_t dim, bool keepdim = false) const;
  // The lower middle one and its position; NaN if there is one.
  std::tuple<Tensor, Tensor> median(int64_t dim, bool keepdim = false) const;
  Tensor median() const;
  Tensor argmax(std::optional<int64_t> dim = std::nullopt, bool keepdim = false) const;
  Tensor argmin(std::optional<int64_t> dim = std::nullopt, bool keepdim = false) const;
  Tensor count_nonzero(IntArrayRef dims = {}) const { return ne(0).sum(dims); }
  Tensor any() const { return reduce(op::Any{}, *this); }
  Tensor any(int64_t dim, bool keepdim = false) const {
    return reduce(op::Any{}, *this, dim, keepdim);
  }
  Tensor all() const { return reduce(op::All{}, *this); }
  Tensor all(int64_t dim, bool keepdim = false) const {
    return reduce(op::All{}, *this, dim, keepdim);
  }
  // unbiased: divides by n - 1. var(true) is all of x; in var(1) the number is a dimension.
  Tensor var(std::same_as<bool> auto unbiased) const { return var(IntArrayRef(), unbiased); }
  Tensor var(IntArrayRef dims = {}, bool unbiased = true, bool keepdim = false) const;
  Tensor std(std::same_as<bool> auto unbiased) const { return std(IntArrayRef(), unbiased); }
  Tensor std(IntArrayRef dims = {}, bool unbiased = true, bool keepdim = false) const;
  Tensor norm(const Scalar& p = 2) const { return norm(p, IntArrayRef()); }
  Tensor norm(const Scalar& p, IntArrayRef dims, bool keepdim = false) const;
  Tensor logsumexp(IntArrayRef dims, bool keepdim = false) const;
  Tensor cumsum(int64_t dim, std::optional<ScalarType> dtype = std::nullopt) const;
  Tensor cumprod(int64_t dim, std::optional<ScalarType> dtype = std::nullopt) const;
  bool equal(const Tensor& other) const;  // same shape and values
  Tensor isclose(const Tensor& other, double rtol = 1e-5, double atol = 1e-8,
                 bool equal_nan = false) const;
  bool allclose(const Tensor& other, double rtol = 1e-5, double atol = 1e-8,
                bool equal_nan = false) const;
  bool is_nonzero() const;

  // --- Sorting (core/ops_sort.cpp) ------------------------------------------------------------
  std::tuple<Tensor, Tensor> sort(int64_t dim = -1, bool descending = false) const;
  std::tuple<Tensor, Tensor> sort(bool stable, int64_t dim, bool descending) const {
    return (static_cast<void>(stable), sort(dim, descending));  // always stable
  }
  Tensor argsort(int64_t dim = -1, bool descending = false) const {
    return std::get<1>(sort(dim, descending));
  }
  std::tuple<Tensor, Tensor> topk(int64_t k, int64_t dim = -1, bool largest = true,
                                  bool sorted = true) const;
  Tensor multinomial(int64_t num_samples, bool replacement = false) const;

  // --- Matrices (core/ops_matmul.cpp) and softmax (core/ops_softmax.cpp) -----------------------
  Tensor matmul(const Tensor& other) const;
  Tensor mm(const Tensor& other) const;
  Tensor bmm(const Tensor& other) const;
  Tensor mv(const Tensor& vector) const;
  Tensor dot(const Tensor& other) const;
  Tensor addmm(const Tensor& a, const Tensor& b, const Scalar& beta = 1,
               const Scalar& alpha = 1) const;
  const Tensor& addmm_(const Tensor& a, const Tensor& b, const Scalar& beta = 1,
                       const Scalar& alpha = 1) const;
  Tensor addmv(const Tensor& matrix, const Tensor& vector, const Scalar& beta = 1,
               const Scalar& alpha = 1) const;
  Tensor baddbmm(const Tensor& a, const Tensor& b, const Scalar& beta = 1,
                 const Scalar& alpha = 1) const;
  // Of vectors of length 3 along dim; the first such dimension if left out.
  Tensor cross(const Tensor& other, std::optional<int64_t> dim = std::nullopt) const;
  Tensor trace() const;
  Tensor diag(int64_t diagonal = 0) const;  // a matrix with this diagonal, or a matrix's diagonal
  Tensor softmax(int64_t dim, std::optional<ScalarType> dtype = std::nullopt) const;
  Tensor log_softmax(int64_t dim, std::optional<ScalarType> dtype = std::nullopt) const;

  // --- Random numbers (core/ops_random.cpp), from the default generator unless one is given
  const Tensor& uniform_(double from = 0, double to = 1, Generator* generator = nullptr) const;
  const Tensor& normal_(double mean = 0, double std = 1, Generator* generator = nullptr) const;
  const Tensor& bernoulli_(double p = 0.5, Generator* generator = nullptr) const;
  const Tensor& bernoulli_(const Tensor& p, Generator* generator = nullptr) const;
  Tensor bernoulli(Generator* generator = nullptr) const;  // elements are the probabilities
  const Tensor& random_(int64_t from, int64_t to, Generator* generator = nullptr) const;
  const Tensor& random_(int64_t to, Generator* generator = nullptr) const {
    return random_(0, to, generator);
  }
  const Tensor& exponential_(double lambd = 1, Generator* generator = nullptr) const;
};

// --- The same as functions: tarn::exp(x), tarn::max(a, b) --------------------------
inline Tensor neg(const Tensor& x) { return x.neg(); }
inline Tensor abs(const Tensor& x) { return x.abs(); }
inline Tensor sign(const Tensor& x) { return x.sign(); }
inline Tensor square(const Tensor& x) { return x.square(); }
inline Tensor reciprocal(const Tensor& x) { return x.reciprocal(); }
inline Tensor sqrt(const Tensor& x) { return x.sqrt(); }
inline Tensor rsqrt(const Tensor& x) { return x.rsqrt(); }
inline Tensor floor(const Tensor& x) { return x.floor(); }
inline Tensor ceil(const Tensor& x) { return x.ceil(); }
inline Tensor round(const Tensor& x) { return x.round(); }
inline Tensor trunc(const Tensor& x) { return x.trunc(); }
inline Tensor exp(const Tensor& x) { return x.exp(); }
inline Tensor expm1(const Tensor& x) { return x.expm1(); }
inline Tensor log(const Tensor& x) { return x.log(); }
inline Tensor log2(const Tensor& x) { return x.log2(); }
inline Tensor log10(const Tensor& x) { return x.log10(); }
inline Tensor log1p(const Tensor& x) { return x.log1p(); }
inline Tensor sin(const Tensor& x) { return x.sin(); }
inline Tensor cos(const Tensor& x) { return x.cos(); }
inline Tensor tan(const Tensor& x) { return x.tan(); }
inline Tensor asin(const Tensor& x) { return x.asin(); }
inline Tensor acos(const Tensor& x) { return x.acos(); }
inline Tensor atan(const Tensor& x) { return x.atan(); }
inline Tensor sinh(const Tensor& x) { return x.sinh(); }
inline Tensor cosh(const Tensor& x) { return x.cosh(); }
inline Tensor erf(const Tensor& x) { return x.erf(); }
inline Tensor erfc(const Tensor& x) { return x.erfc(); }
inline Tensor tanh(const Tensor& x) { return x.tanh(); }
inline Tensor sigmoid(const Tensor& x) { return x.sigmoid(); }
inline Tensor relu(const Tensor& x) { return x.relu(); }
inline Tensor logical_not(const Tensor& x) { return x.logical_not(); }
inline Tensor bitwise_not(const Tensor& x) { return x.bitwise_not(); }
inline Tensor isnan(const Tensor& x) { return x.isnan(); }
inline Tensor isinf(const Tensor& x) { return x.isinf(); }
inline Tensor isfinite(const Tensor& x) { return x.isfinite(); }
inline Tensor log_sigmoid(const Tensor& x) { return pointwise(op::LogSigmoid{}, x); }
inline Tensor silu(const Tensor& x) { return pointwise(op::Silu{}, x); }
inline Tensor mish(const Tensor& x) { return pointwise(op::Mish{}, x); }

inline Tensor add(const Tensor& a, const Operand& b, const Scalar& alpha = 1) {
  return a.add(b, alpha);
}
inline Tensor sub(const Tensor& a, const Operand& b, const Scalar& alpha = 1) {
  return a.sub(b, alpha);
}
inline Tensor div(const Tensor& a, const Operand& b, std::string_view rounding_mode) {
  return a.div(b, rounding_mode);
}
inline Tensor mul(const Tensor& a, const Operand& b) { return a.mul(b); }
inline Tensor div(const Tensor& a, const Operand& b) { return a.div(b); }
inline Tensor floor_divide(const Tensor& a, const Operand& b) { return a.floor_divide(b); }
inline Tensor remainder(const Tensor& a, const Operand& b) { return a.remainder(b); }
inline Tensor fmod(const Tensor& a, const Operand& b) { return a.fmod(b); }
inline Tensor pow(const Tensor& a, const Operand& b) { return a.pow(b); }
inline Tensor atan2(const Tensor& a, const Operand& b) { return a.atan2(b); }
inline Tensor maximum(const Tensor& a, const Operand& b) { return a.maximum(b); }
inline Tensor minimum(const Tensor& a, const Operand& b) { return a.minimum(b); }
inline Tensor eq(const Tensor& a, const Operand& b) { return a.eq(b); }
inline Tensor ne(const Tensor& a, const Operand& b) { return a.ne(b); }
inline Tensor lt(const Tensor& a, const Operand& b) { return a.lt(b); }
inline Tensor le(const Tensor& a, const Operand& b) { return a.le(b); }
inline Tensor gt(const Tensor& a, const Operand& b) { return a.gt(b); }
inline Tensor ge(const Tensor& a, const Operand& b) { return a.ge(b); }
inline Tensor bitwise_and(const Tensor& a, const Operand& b) { return a.bitwise_and(b); }
inline Tensor bitwise_or(const Tensor& a, const Operand& b) { return a.bitwise_or(b); }
inline Tensor bitwise_xor(const Tensor& a, const Operand& b) { return a.bitwise_xor(b); }
inline Tensor logical_and(const Tensor& a, const Tensor& b) { return a.logical_and(b); }
inline Tensor logical_or(const Tensor& a, const Tensor& b) { return a.logical_or(b); }
inline Tensor logical_xor(const Tensor& a, const Tensor& b) { return a.logical_xor(b); }
inline Tensor max(const Tensor& a, const Tensor& b) { return a.max(b); }
inline Tensor min(const Tensor& a, const Tensor& b) { return a.min(b); }
inline Tensor pow(const Scalar& base, const Tensor& exponent) {
  return pointwise(op::Pow{}, base, exponent);
}
// condition ? a : b, elementwise.
inline Tensor where(const Tensor& condition, const Operand& a, const Operand& b) {
  return pointwise(op::Where{}, condition, a, b);
}
inline Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& value = 1) {
  return x.addcmul(a, b, value);
}
inline Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& value = 1) {
  return x.addcdiv(a, b, value);
}
// A tensor of zeros like x: the constant 0 of a formula.
Tensor zero_of(const Tensor& x);

}  // namespace tarn

namespace tarn::math {
template <>
struct Literal<Tensor> {
  using type = Scalar;
};
}  // namespace tarn::math

#include "tarn/core/functions.h"
