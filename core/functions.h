// Functions on tensors that are not formulas of single elements: shapes, joining, indexing,
// matrices, losses. Included by core/ops.h; conventions and the methods of the same names are
// there.
#pragma once

#include "tarn/core/ops.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn {

// --- Operators ----------------------------------------------------------------------------------
inline Tensor operator+(const Tensor& a, const Operand& b) { return a.add(b); }
inline Tensor operator-(const Tensor& a, const Operand& b) { return a.sub(b); }
inline Tensor operator*(const Tensor& a, const Operand& b) { return a.mul(b); }
inline Tensor operator/(const Tensor& a, const Operand& b) { return a.div(b); }
inline Tensor operator%(const Tensor& a, const Operand& b) { return a.remainder(b); }
inline Tensor operator==(const Tensor& a, const Tensor& b) { return a.eq(b); }
inline Tensor operator==(const Tensor& a, const Scalar& b) { return a.eq(b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return a.ne(b); }
inline Tensor operator!=(const Tensor& a, const Scalar& b) { return a.ne(b); }
inline Tensor operator<(const Tensor& a, const Operand& b) { return a.lt(b); }
inline Tensor operator<=(const Tensor& a, const Operand& b) { return a.le(b); }
inline Tensor operator>(const Tensor& a, const Operand& b) { return a.gt(b); }
inline Tensor operator>=(const Tensor& a, const Operand& b) { return a.ge(b); }
inline Tensor operator&(const Tensor& a, const Operand& b) { return a.bitwise_and(b); }
inline Tensor operator|(const Tensor& a, const Operand& b) { return a.bitwise_or(b); }
inline Tensor operator^(const Tensor& a, const Operand& b) { return a.bitwise_xor(b); }
// A number on the left.
inline Tensor operator+(const Scalar& a, const Tensor& b) { return b.add(a); }
inline Tensor operator*(const Scalar& a, const Tensor& b) { return b.mul(a); }
inline Tensor operator/(const Scalar& a, const Tensor& b) { return pointwise(op::Div{}, a, b); }
// other - alpha self
Tensor rsub(const Operand& self, const Operand& other, const Scalar& alpha = 1);
inline Tensor operator-(const Scalar& a, const Tensor& b) { return rsub(b, a); }
inline Tensor operator==(const Scalar& a, const Tensor& b) { return b.eq(a); }
inline Tensor operator!=(const Scalar& a, const Tensor& b) { return b.ne(a); }
inline Tensor operator<(const Scalar& a, const Tensor& b) { return b.gt(a); }
inline Tensor operator<=(const Scalar& a, const Tensor& b) { return b.ge(a); }
inline Tensor operator>(const Scalar& a, const Tensor& b) { return b.lt(a); }
inline Tensor operator>=(const Scalar& a, const Tensor& b) { return b.le(a); }

// --- Pointwise with parameters -------------------------------------------------------------------
// approximate: "none" (erf) or "tanh".
Tensor gelu(const Tensor& x, std::string_view approximate = "none");
inline Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01) {
  return pointwise(op::LeakyRelu{{}, negative_slope}, x);
}
inline Tensor elu(const Tensor& x, double alpha = 1, double scale = 1, double input_scale = 1) {
  return pointwise(op::Elu{{}, alpha, scale, input_scale}, x);
}
inline Tensor softplus(const Tensor& x, double beta = 1, double threshold = 20) {
  return pointwise(op::Softplus{{}, beta, threshold}, x);
}
inline Tensor clamp(const Tensor& x, std::optional<Scalar> min = std::nullopt,
                    std::optional<Scalar> max = std::nullopt) {
  return x.clamp(min, max);
}
inline Tensor clamp_min(const Tensor& x, const Scalar& min) { return x.clamp_min(min); }
inline Tensor clamp_max(const Tensor& x, const Scalar& max) { return x.clamp_max(max); }

// --- Reductions ---------------------------------------------------------------------------------
inline Tensor sum(const Tensor& x, std::optional<ScalarType> dtype = std::nullopt) {
  return x.sum(dtype);
}
inline Tensor sum(const Tensor& x, IntArrayRef dims, bool keepdim = false,
                  std::optional<ScalarType> dtype = std::nullopt) {
  return x.sum(dims, keepdim, dtype);
}
inline Tensor mean(const Tensor& x, std::optional<ScalarType> dtype = std::nullopt) {
  return x.mean(dtype);
}
inline Tensor mean(const Tensor& x, IntArrayRef dims, bool keepdim = false,
                   std::optional<ScalarType> dtype = std::nullopt) {
  return x.mean(dims, keepdim, dtype);
}
inline Tensor prod(const Tensor& x, std::optional<ScalarType> dtype = std::nullopt) {
  return x.prod(dtype);
}
inline Tensor max(const Tensor& x) { return x.max(); }
inline Tensor min(const Tensor& x) { return x.min(); }
inline Tensor any(const Tensor& x) { return x.any(); }
inline Tensor any(const Tensor& x, int64_t dim, bool keepdim = false) {
  return x.any(dim, keepdim);
}
inline Tensor all(const Tensor& x) { return x.all(); }
inline Tensor all(const Tensor& x, int64_t dim, bool keepdim = false) {
  return x.all(dim, keepdim);
}
inline Tensor amax(const Tensor& x, IntArrayRef dims = {}, bool keepdim = false) {
  return x.amax(dims, keepdim);
}
inline Tensor amin(const Tensor& x, IntArrayRef dims = {}, bool keepdim = false) {
  return x.amin(dims, keepdim);
}
inline Tensor prod(const Tensor& x, int64_t dim, bool keepdim = false) {
  return x.prod(dim, keepdim);
}
inline std::tuple<Tensor, Tensor> max(const Tensor& x, int64_t dim, bool keepdim = false) {
  return x.max(dim, keepdim);
}
inline std::tuple<Tensor, Tensor> min(const Tensor& x, int64_t dim, bool keepdim = false) {
  return x.min(dim, keepdim);
}
inline Tensor argmax(const Tensor& x, std::optional<int64_t> dim = std::nullopt,
                     bool keepdim = false) {
  return x.argmax(dim, keepdim);
}
inline Tensor argmin(const Tensor& x, std::optional<int64_t> dim = std::nullopt,
                     bool keepdim = false) {
  return x.argmin(dim, keepdim);
}
inline Tensor var(const Tensor& x, std::same_as<bool> auto unbiased) { return x.var(unbiased); }
inline Tensor var(const Tensor& x, IntArrayRef dims = {}, bool unbiased = true,
                  bool keepdim = false) {
  return x.var(dims, unbiased, keepdim);
}
inline Tensor std(const Tensor& x, std::same_as<bool> auto unbiased) { return x.std(unbiased); }
inline Tensor std(const Tensor& x, IntArrayRef dims = {}, bool unbiased = true,
                  bool keepdim = false) {
  return x.std(dims, unbiased, keepdim);
}
inline std::tuple<Tensor, Tensor> median(const Tensor& x, int64_t dim, bool keepdim = false) {
  return x.median(dim, keepdim);
}
inline Tensor median(const Tensor& x) { return x.median(); }
inline Tensor count_nonzero(const Tensor& x, IntArrayRef dims = {}) {
  return x.count_nonzero(dims);
}
std::tuple<Tensor, Tensor> var_mean(const Tensor& x, IntArrayRef dims = {}, bool unbiased = true,
                                    bool keepdim = false);
std::tuple<Tensor, Tensor> std_mean(const Tensor& x, IntArrayRef dims = {}, bool unbiased = true,
                                    bool keepdim = false);
inline Tensor norm(const Tensor& x, const Scalar& p = 2) { return x.norm(p); }
inline Tensor norm(const Tensor& x, const Scalar& p, IntArrayRef dims, bool keepdim = false) {
  return x.norm(p, dims, keepdim);
}

inline Tensor lerp(const Tensor& start, const Tensor& end, const Operand& weight) {
  return start.lerp(end, weight);
}

// --- Copies and shapes (core/ops_copy.cpp, core/ops_shape.cpp) ----------------------------------
inline Tensor clone(const Tensor& x, MemoryFormat format = MemoryFormat::Preserve) {
  return x.clone(format);
}
inline Tensor detach(const Tensor& x) { return x.detach(); }
inline Tensor reshape(const Tensor& x, IntArrayRef sizes) { return x.reshape(sizes); }
inline Tensor flatten(const Tensor& x, int64_t start_dim = 0, int64_t end_dim = -1) {
  return x.flatten(start_dim, end_dim);
}
inline Tensor unflatten(const Tensor& x, int64_t dim, IntArrayRef sizes) {
  return x.unflatten(dim, sizes);
}
inline Tensor squeeze(const Tensor& x) { return x.squeeze(); }
inline Tensor squeeze(const Tensor& x, int64_t dim) { return x.squeeze(dim); }
inline Tensor unsqueeze(const Tensor& x, int64_t dim) { return x.unsqueeze(dim); }
inline Tensor permute(const Tensor& x, IntArrayRef dims) { return x.permute(dims); }
inline Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
  return x.transpose(dim0, dim1);
}
inline Tensor t(const Tensor& x) { return x.t(); }
inline Tensor movedim(const Tensor& x, int64_t source, int64_t destination) {
  return x.movedim(source, destination);
}
inline Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
  return x.narrow(dim, start, length);
}
inline Tensor select(const Tensor& x, int64_t dim, int64_t index) { return x.select(dim, index); }
inline Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1) {
  return x.diagonal(offset, dim1, dim2);
}
inline Tensor roll(const Tensor& x, IntArrayRef shifts, IntArrayRef dims = {}) {
  return x.roll(shifts, dims);
}
inline Tensor flip(const Tensor& x, IntArrayRef dims) { return x.flip(dims); }
inline std::vector<Tensor> chunk(const Tensor& x, int64_t chunks, int64_t dim = 0) {
  return x.chunk(chunks, dim);
}
inline std::vector<Tensor> split(const Tensor& x, int64_t split_size, int64_t dim = 0) {
  return x.split(split_size, dim);
}
inline std::vector<Tensor> unbind(const Tensor& x, int64_t dim = 0) { return x.unbind(dim); }
inline Tensor tril(const Tensor& x, int64_t diagonal = 0) { return x.tril(diagonal); }
inline Tensor triu(const Tensor& x, int64_t diagonal = 0) { return x.triu(diagonal); }
// Joins along an existing dimension; sizes may differ there only. Dtypes are promoted.
Tensor cat(TensorList tensors, int64_t dim = 0);
inline Tensor concat(TensorList tensors, int64_t dim = 0) { return cat(tensors, dim); }
// Joins equal shapes along a new dimension.
Tensor stack(TensorList tensors, int64_t dim = 0);
Tensor vstack(TensorList tensors);
Tensor hstack(TensorList tensors);
// One tensor for each 1-d input, all of the shape that their lengths make; "xy" swaps the first two
// dimensions.
std::vector<Tensor> meshgrid(TensorList tensors, std::string_view indexing = "ij");
std::vector<Tensor> broadcast_tensors(TensorList tensors);
Tensor broadcast_to(const Tensor& x, IntArrayRef sizes);
// The dtype of an op's result on these operands.
ScalarType result_type(const Operand& a, const Operand& b);

// --- Indexing and sorting (core/ops_index.cpp, core/ops_sort.cpp) -------------------------------
inline Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  return x.index_select(dim, index);
}
inline Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  return x.gather(dim, index);
}
inline Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  return x.scatter(dim, index, source);
}
inline Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  return x.scatter_add(dim, index, source);
}
inline Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  return x.index_add(dim, index, source);
}
inline Tensor masked_select(const Tensor& x, const Tensor& mask) { return x.masked_select(mask); }
inline Tensor masked_fill(const Tensor& x, const Tensor& mask, const Scalar& value) {
  return x.masked_fill(mask, value);
}
// The positions at which condition is true, a tensor for each dimension.
std::vector<Tensor> where(const Tensor& condition);
inline Tensor nonzero(const Tensor& x) { return x.nonzero(); }
inline std::tuple<Tensor, Tensor> sort(const Tensor& x, int64_t dim = -1, bool descending = false) {
  return x.sort(dim, descending);
}
inline Tensor argsort(const Tensor& x, int64_t dim = -1, bool descending = false) {
  return x.argsort(dim, descending);
}
inline std::tuple<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t dim = -1,
                                       bool largest = true, bool sorted = true) {
  return x.topk(k, dim, largest, sorted);
}
inline Tensor cumsum(const Tensor& x, int64_t dim, std::optional<ScalarType> dtype = std::nullopt) {
  return x.cumsum(dim, dtype);
}
inline Tensor cumprod(const Tensor& x, int64_t dim,
                      std::optional<ScalarType> dtype = std::nullopt) {
  return x.cumprod(dim, dtype);
}
inline Tensor logsumexp(const Tensor& x, IntArrayRef dims, bool keepdim = false) {
  return x.logsumexp(dims, keepdim);
}
inline Tensor multinomial(const Tensor& x, int64_t num_samples, bool replacement = false) {
  return x.multinomial(num_samples, replacement);
}
inline bool equal(const Tensor& a, const Tensor& b) { return a.equal(b); }
inline bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
                     bool equal_nan = false) {
  return a.allclose(b, rtol, atol, equal_nan);
}
inline Tensor isclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
                      bool equal_nan = false) {
  return a.isclose(b, rtol, atol, equal_nan);
}

// --- Matrices (core/ops_matmul.cpp) -------------------------------------------------------------
// Like numpy: 1-d operands are vectors, leading dimensions are a broadcast batch.
inline Tensor matmul(const Tensor& a, const Tensor& b) { return a.matmul(b); }
inline Tensor mm(const Tensor& a, const Tensor& b) { return a.mm(b); }
inline Tensor bmm(const Tensor& a, const Tensor& b) { return a.bmm(b); }
inline Tensor mv(const Tensor& a, const Tensor& b) { return a.mv(b); }
inline Tensor dot(const Tensor& a, const Tensor& b) { return a.dot(b); }
// beta * x + alpha * a @ b
inline Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& beta = 1,
                    const Scalar& alpha = 1) {
  return x.addmm(a, b, beta, alpha);
}
inline Tensor baddbmm(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& beta = 1,
                      const Scalar& alpha = 1) {
  return x.baddbmm(a, b, beta, alpha);
}
inline Tensor cross(const Tensor& a, const Tensor& b, std::optional<int64_t> dim = std::nullopt) {
  return a.cross(b, dim);
}
inline Tensor diag(const Tensor& x, int64_t diagonal = 0) { return x.diag(diagonal); }
Tensor outer(const Tensor& a, const Tensor& b);
// x (..., in) @ weight^T + bias, with weight (out, in) and bias (out) or undefined; one fused
// kernel.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
// relu(linear(x, weight, bias)), its gradients included, in one kernel where the device has one.
// What nn::Sequential does of a Linear and the ReLU behind it (torch.ao.nn.intrinsic.LinearReLU).
Tensor linear_relu(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// --- Normalization (core/ops_norm.cpp) ----------------------------------------------------------
// x less its mean, over the root of its variance (that of all its elements) + eps, taken over the
// last dimensions, whose sizes normalized_shape repeats; times weight plus bias, both of that shape
// and of x's dtype, or undefined. One fused kernel; the result is contiguous.
Tensor layer_norm(const Tensor& x, IntArrayRef normalized_shape, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);

// --- Softmax and losses (core/ops_softmax.cpp) --------------------------------------------------
inline Tensor softmax(const Tensor& x, int64_t dim,
                      std::optional<ScalarType> dtype = std::nullopt) {
  return x.softmax(dim, dtype);
}
inline Tensor log_softmax(const Tensor& x, int64_t dim,
                          std::optional<ScalarType> dtype = std::nullopt) {
  return x.log_softmax(dim, dtype);
}
// -log_probs[target], weighted per class. log_probs (n, classes) or (classes) or (n, classes,
// d1..); target int64 without the class dimension. kMean divides by the sum of the weights used.
Tensor nll_loss(const Tensor& log_probs, const Tensor& target, const Tensor& weight = {},
                Reduction reduction = Reduction::Mean, int64_t ignore_index = -100);
// nll_loss of x.log_softmax(1) in one pass over x, or of its only dimension. label_smoothing is the
// part of what is expected that is spread evenly over all classes.
Tensor cross_entropy_of_indices(const Tensor& x, const Tensor& target, const Tensor& weight,
                                Reduction reduction, int64_t ignore_index, double label_smoothing);
inline Tensor squared_error(const Tensor& a, const Tensor& b) {
  return pointwise(op::SquaredError{}, a, b);
}
// One-hot rows: (...) int64 -> (..., num_classes); -1 takes the largest index + 1.
Tensor one_hot(const Tensor& index, int64_t num_classes = -1);

}  // namespace tarn
