// Matrix products: one kernel for (..., m, k) x (..., k, n), everything else by views of it.
#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

// out = act(a @ b + bias), and a_sums becomes the sums of the rows of a; both may be undefined. a
// and b have out's dimensions; batch dimensions of size 1 repeat.
void run_matmul(const char* op, const Tensor& out, const Tensor& a, const Tensor& b,
                const Tensor& bias, const Tensor& a_sums = {}, bool relu = false) {
  const TensorImpl& c = out.impl();
  MatmulArgs args{c.view(), a.impl().view(), b.impl().view(), {}};
  DimVector a_sizes, a_strides, b_sizes, b_strides;
  if (c.ndim > 2) {
    const auto repeat = [&](View& v, int64_t rows, int64_t columns, DimVector& sizes,
                            DimVector& strides) {
      sizes = DimVector(c.sizes());
      sizes[sizes.size() - 2] = rows;
      sizes[sizes.size() - 1] = columns;
      strides = sizes;
      const auto n = static_cast<size_t>(v.ndim);
      broadcast_strides({v.sizes, n}, {v.strides, n}, sizes, strides.data());
      v.ndim = c.ndim;
      v.sizes = sizes.data();
      v.strides = strides.data();
    };
    repeat(args.a, a.size(-2), a.size(-1), a_sizes, a_strides);
    repeat(args.b, b.size(-2), b.size(-1), b_sizes, b_strides);
  }
  args.relu = relu;
  if (bias.defined()) args.bias = bias.impl().view();
  if (a_sums.defined()) args.a_sums = a_sums.impl().view();
  const KernelTable& table = kernels(out.device());
  if (!table.matmul) missing_kernel(op, table);
  table.matmul(args);
}

void check_operands(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    throw TypeError(str("[", op, "] expected m1 and m2 to have the same dtype, but got: ",
                        a.dtype(), " != ", b.dtype()));
  }
  if (a.dtype() == kBool)
    throw TypeError(str("[", op, "] not implemented for 'Bool'. HINT: convert with to(kFloat)"));
  check_same_device(op, a.device(), b.device());
}

[[noreturn, gnu::cold]] void fail_inner(const char* op, const Tensor& a, const Tensor& b) {
  throw ShapeError(str("[", op, "] inner dimensions differ: ", a.sizes(), " x ", b.sizes(),
                       ": mat1 and mat2 shapes cannot be multiplied (", a.size(-2), "x", a.size(-1),
                       " and ", b.size(-2), "x", b.size(-1), ")"));
}

// a (..., m, k) @ b (..., k, n), both with at least 2 dimensions.
Tensor multiply(const char* op, const Tensor& a, const Tensor& b) {
  check_operands(op, a, b);
  if (a.size(-1) != b.size(-2)) fail_inner(op, a, b);
  DimVector sizes;
  if (a.dim() > 2 || b.dim() > 2) {
    sizes = broadcast_shapes(op, a.sizes().slice(0, a.sizes().size() - 2),
                             b.sizes().slice(0, b.sizes().size() - 2));
  }
  sizes.append({a.size(-2), b.size(-1)});
  Tensor out = detail::make_empty(sizes, a.dtype(), a.device());
  run_matmul(op, out, a, b, {});
  if (needs_grad({&a, &b})) {
    const bool a_wants = a.requires_grad(), b_wants = b.requires_grad();
    record(out, sizes.size() == 2 ? "MmBackward0" : "BmmBackward0", {&a, &b},
           {b_wants ? SavedTensor::input(a) : SavedTensor(),
            a_wants ? SavedTensor::input(b) : SavedTensor()},
           [](Backward& back) {
             const Tensor& g = back.grad();
             if (back.needs(0)) back[0] = multiply("matmul", g, back.saved(1).mT());
             if (back.needs(1)) back[1] = multiply("matmul", back.saved(0).mT(), g);
           });
  }
  return out;
}

// (..., n) as (rows, n).
Tensor rows_of(const Tensor& x) {
  return x.reshape({numel_of(x.sizes().slice(0, x.sizes().size() - 1)), x.size(-1)});
}

void check_dim(const char* op, const char* what, const Tensor& t, int64_t dim) {
  if (t.dim() != dim)
    throw ShapeError(
        str("[", op, "] ", what, " must be a ", dim, "-dimensional tensor, got ", t.sizes()));
}

}  // namespace

Tensor Tensor::mm(const Tensor& other) const {
  check_dim("mm", "self", *this, 2);
  check_dim("mm", "mat2", other, 2);
  return multiply("mm", *this, other);
}

Tensor Tensor::bmm(const Tensor& other) const {
  check_dim("bmm", "batch1", *this, 3);
  check_dim("bmm", "batch2", other, 3);
  if (size(0) != other.size(0)) {
    throw ShapeError(str("[bmm] Expected both batches to have the same size, got ", sizes(),
                         " and ", other.sizes()));
  }
  return multiply("bmm", *this, other);
}

Tensor Tensor::mv(const Tensor& vector) const {
  check_dim("mv", "self", *this, 2);
  check_dim("mv", "vec", vector, 1);
  return multiply("mv", *this, vector.unsqueeze(1)).squeeze(1);
}

Tensor Tensor::dot(const Tensor& other) const {
  check_dim("dot", "self", *this, 1);
  check_dim("dot", "tensor", other, 1);
  if (numel() != other.numel()) {
    throw ShapeError(str("[dot] inconsistent tensor size, expected tensor ", sizes(), " and src ",
                         other.sizes(), " to have the same number of elements"));
  }
  return multiply("dot", unsqueeze(0), other.unsqueeze(1)).reshape({});
}

Tensor Tensor::matmul(const Tensor& other) const {
  if (dim() == 0 || other.dim() == 0) {
    throw ShapeError(str("[matmul] both arguments to matmul need to be at least 1D, but they are ",
                         dim(), "D and ", other.dim(), "D"));
  }
  if (dim() == 2 && other.dim() == 2) return multiply("matmul", *this, other);
  if (dim() == 1 && other.dim() == 1) return dot(other);
  if (dim() == 1) return unsqueeze(0).matmul(other).squeeze(-2);
  if (other.dim() == 1) return matmul(other.unsqueeze(1)).squeeze(-1);
  if (other.dim() == 2) {
    // One large product instead of a batch of small ones.
    DimVector sizes(this->sizes());
    sizes[sizes.size() - 1] = other.size(1);
    return multiply("matmul", rows_of(*this), other).reshape(sizes);
  }
  return multiply("matmul", *this, other);
}

Tensor Tensor::addmm(const Tensor& a, const Tensor& b, const Scalar& beta,
                     const Scalar& alpha) const {
  check_dim("addmm", "mat1", a, 2);
  check_dim("addmm", "mat2", b, 2);
  const Tensor product = multiply("addmm", a, b);
  const Tensor scaled = alpha.equal(1) ? product : product * alpha;
  const Tensor added = expand_as(scaled);
  return beta.equal(0) ? scaled : scaled.add(added, beta);
}
const Tensor& Tensor::addmm_(const Tensor& a, const Tensor& b, const Scalar& beta,
                             const Scalar& alpha) const {
  return copy_(addmm(a, b, beta, alpha));
}

Tensor Tensor::addmv(const Tensor& matrix, const Tensor& vector, const Scalar& beta,
                     const Scalar& alpha) const {
  check_dim("addmv", "mat", matrix, 2);
  check_dim("addmv", "vec", vector, 1);
  const Tensor column = vector.unsqueeze(1);
  return expand({matrix.size(0)}).unsqueeze(1).addmm(matrix, column, beta, alpha).squeeze(1);
}

Tensor Tensor::baddbmm(const Tensor& a, const Tensor& b, const Scalar& beta,
                       const Scalar& alpha) const {
  const Tensor product = a.bmm(b) * alpha;
  const Tensor added = expand_as(product);
  return beta.equal(0) ? product : product.add(added, beta);
}

Tensor Tensor::cross(const Tensor& other, std::optional<int64_t> dim) const {
  const std::vector<Tensor> both = broadcast_tensors({*this, other});
  const IntArrayRef sizes = both[0].sizes();
  const auto first_3 = std::find(sizes.begin(), sizes.end(), 3) - sizes.begin();
  const int64_t d = wrap_dim("cross", dim.value_or(first_3), both[0].dim());
  TARN_CHECK(both[0].size(d) == 3, "[cross] dimension ", d, " does not have size 3, got shape ",
             sizes);
  return both[0].roll(-1, d) * both[1].roll(-2, d) - both[0].roll(-2, d) * both[1].roll(-1, d);
}

Tensor Tensor::trace() const {
  check_dim("trace", "self", *this, 2);
  return diagonal().sum();
}

Tensor Tensor::diag(int64_t diagonal) const {
  if (dim() != 1) return this->diagonal(diagonal).clone();
  const int64_t n = size(0) + std::abs(diagonal);
  const Tensor out = zeros({n, n}, options());
  out.diagonal(diagonal).copy_(*this);
  return out;
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_dim("outer", "self", a, 1);
  check_dim("outer", "vec2", b, 1);
  return a.unsqueeze(1) * b;
}

namespace {

// relu: of the result, which is then recorded as that of two ops. The first one's backward does not
// ask for what came between.
Tensor apply_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu) {
  check_dim("linear", "weight", weight, 2);
  if (x.dim() != 2) {
    if (x.dim() == 0) throw ShapeError("[linear] the input needs at least 1 dimension");
    DimVector sizes(x.sizes());
    sizes[sizes.size() - 1] = weight.size(0);
    return apply_linear(rows_of(x), weight, bias, relu).reshape(sizes);
  }
  const Tensor turned = alias(weight, {weight.size(1), weight.size(0)},
                              {weight.stride(1), weight.stride(0)}, weight.storage_offset(), false);
  check_operands("linear", x, weight);
  if (x.size(1) != weight.size(1)) fail_inner("linear", x, turned);
  if (bias.defined()) {
    check_operands("linear", x, bias);
    if (!(bias.sizes() == IntArrayRef(weight.size(0)))) {
      throw ShapeError(
          str("[linear] bias must have shape [", weight.size(0), "], got ", bias.sizes()));
    }
  }
  Tensor out = detail::make_empty({x.size(0), weight.size(0)}, x.dtype(), x.device());
  run_matmul("linear", out, x, turned, bias.defined() ? bias.contiguous() : bias, {}, relu);
  if (needs_grad({&x, &weight, &bias})) {
    record(out, "AddmmBackward0", {&x, &weight, &bias},
           {weight.requires_grad() ? SavedTensor::input(x) : SavedTensor(),
            x.requires_grad() ? SavedTensor::input(weight) : SavedTensor()},
           [](Backward& back) {
             const Tensor& g = back.grad();
             if (back.needs(0)) back[0] = multiply("linear", g, back.saved(1));
             if (back.needs(1) && back.needs(2) && !GradMode::is_enabled()) {
               const Tensor in = back.saved(0);
               back[1] = detail::make_empty({g.size(1), in.size(1)}, g.dtype(), g.device());
               back[2] = detail::make_empty({g.size(1)}, g.dtype(), g.device());
               run_matmul("linear", back[1], g.t(), in, {}, back[2]);
               return;
             }
             if (back.needs(1)) back[1] = multiply("linear", g.t(), back.saved(0));
             if (back.needs(2)) back[2] = g.sum(0);
           });
    constexpr op::Relu act;
    if (relu) detail::record_pointwise(out, pointwise_id<op::Relu>, &act, sizeof act);
  }
  return out;
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return apply_linear(x, weight, bias, false);
}

Tensor linear_relu(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return apply_linear(x, weight, bias, true);
}

}  // namespace tarn
