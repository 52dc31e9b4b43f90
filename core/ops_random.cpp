// Random tensors: in-place draws, and the functions that make new ones.
#include <cmath>

#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/random.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

void check_floating(const char* op, ScalarType dtype) {
  if (!is_floating_point(dtype)) {
    throw TypeError(
        str("[", op, "] the distribution is continuous: dtype must be a floating point type, got ",
            dtype));
  }
}

void check_std(double std) {
  if (!(std >= 0)) throw ValueError(str("[normal] normal expects std >= 0.0, but found std ", std));
}

void check_probability(double p) {
  if (!(p >= 0 && p <= 1))
    throw ValueError(str("[bernoulli] bernoulli_ expects p to be in [0, 1], but got p=", p));
}

// Runs `write` on self as an in-place op: what was there before is lost, so its gradient is zero.
template <class F>
const Tensor& overwrite(const char* op, const char* node_name, const Tensor& self, F write) {
  check_inplace(op, self);
  write();
  IntrusivePtr<Node> node;
  if (needs_grad({&self})) {
    node =
        make_node(node_name, {&self}, {}, [](const Tensor& g, Backward&) { return zeros_like(g); });
  }
  inplace_history(self, std::move(node));
  return self;
}

Tensor finish(const Tensor& out, const TensorOptions& options) {
  return options.requires_grad() ? out.requires_grad_() : out;
}

Tensor draw_new(const char* op, IntArrayRef sizes, RandomKind kind, double a, double b,
                Generator* generator, const TensorOptions& options) {
  if (!is_floating_point(options.dtype())) {
    throw TypeError(str("[", op, "] needs a floating point dtype, got ", options.dtype()));
  }
  const Tensor out = detail::make_empty(sizes, options.dtype(), options.device());
  detail::draw(op, out, kind, a, b, 0, 0, generator);
  return finish(out, options);
}

Tensor draw_like(const char* op, const Tensor& x, RandomKind kind, double a, double b,
                 const TensorOptions& options) {
  const Tensor out = empty_like(x, options.requires_grad(false));
  if (!is_floating_point(out.dtype()))
    throw TypeError(str("[", op, "] needs a floating point dtype, got ", out.dtype()));
  detail::draw(op, out, kind, a, b, 0, 0, nullptr);
  return finish(out, options);
}

}  // namespace

// --- In place -----------------------------------------------------------------------------------

const Tensor& Tensor::uniform_(double from, double to, Generator* generator) const {
  check_floating("uniform_", dtype());
  if (!(from <= to && std::isfinite(to - from))) {
    throw ValueError(
        str("[uniform_] uniform_ expects to return a [from, to) range, but found from=", from,
            " > to=", to));
  }
  return overwrite("uniform_", "UniformBackward0", *this, [&] {
    detail::draw("uniform_", *this, RandomKind::kUniform, from, to, 0, 0, generator);
  });
}

const Tensor& Tensor::normal_(double mean, double std, Generator* generator) const {
  check_floating("normal_", dtype());
  check_std(std);
  return overwrite("normal_", "NormalBackward0", *this, [&] {
    detail::draw("normal_", *this, RandomKind::kNormal, mean, std, 0, 0, generator);
  });
}

const Tensor& Tensor::bernoulli_(double p, Generator* generator) const {
  check_probability(p);
  return overwrite("bernoulli_", "BernoulliBackward0", *this, [&] {
    detail::draw("bernoulli_", *this, RandomKind::kBernoulli, p, 0, 0, 0, generator);
  });
}

const Tensor& Tensor::bernoulli_(const Tensor& p, Generator* generator) const {
  check_floating("bernoulli_", p.dtype());
  if (!is_broadcastable_to(p.sizes(), sizes())) {
    throw ShapeError(str("[bernoulli_] probabilities of shape ", p.sizes(),
                         " cannot be broadcast to ", sizes()));
  }
  const Tensor chances = p.detach();
  TARN_CHECK(chances.ge(0).logical_and(chances.le(1)).all().item<bool>(),
             "[bernoulli_] Expected p_in >= 0 && p_in <= 1 for every probability");
  return overwrite("bernoulli_", "BernoulliBackward0", *this, [&] {
    const NoGradGuard guard;
    // PyTorch draws a float a number, a double only for double probabilities.
    const Tensor drawn = empty_like(*this, p.dtype() == kDouble ? kDouble : kFloat);
    detail::draw("bernoulli_", drawn, RandomKind::kUniform, 0, 1, 0, 0, generator);
    copy_(drawn.lt(chances));
  });
}

Tensor Tensor::bernoulli(Generator* generator) const {
  return empty_like(*this).bernoulli_(*this, generator);
}

const Tensor& Tensor::random_(int64_t from, int64_t to, Generator* generator) const {
  detail::check_integer_range("random_", dtype(), from, to);
  return overwrite("random_", "RandomBackward0", *this, [&] {
    detail::draw("random_", *this, RandomKind::kInteger, 0, 0, from, to, generator);
  });
}

const Tensor& Tensor::exponential_(double lambd, Generator* generator) const {
  check_floating("exponential_", dtype());
  if (!(lambd > 0))
    throw ValueError(
        str("[exponential_] exponential_ expects lambda > 0.0, but found lambda=", lambd));
  return overwrite("exponential_", "ExponentialBackward0", *this, [&] {
    detail::draw("exponential_", *this, RandomKind::kExponential, lambd, 0, 0, 0, generator);
  });
}

// --- Functions ----------------------------------------------------------------------------------

Tensor bernoulli(const Tensor& x, double p, Generator* generator) {
  return empty_like(x).bernoulli_(p, generator);
}

Tensor normal(double mean, double std, IntArrayRef sizes, Generator* generator,
              const TensorOptions& options) {
  const Tensor out = empty(sizes, options.requires_grad(false));
  out.normal_(mean, std, generator);
  return out.requires_grad_(options.requires_grad());
}

Tensor normal(const Tensor& mean, double std, Generator* generator) {
  check_std(std);
  const NoGradGuard guard;
  return empty_like(mean).normal_(0, 1, generator).mul_(std).add_(mean);
}

Tensor normal(double mean, const Tensor& std, Generator* generator) {
  const NoGradGuard guard;
  TARN_CHECK(std.ge(0).all().item<bool>(), "[normal] normal expects all elements of std >= 0.0");
  return empty_like(std).normal_(0, 1, generator).mul_(std).add_(mean);
}

Tensor normal(const Tensor& mean, const Tensor& std, Generator* generator) {
  const NoGradGuard guard;
  TARN_CHECK(std.ge(0).all().item<bool>(), "[normal] normal expects all elements of std >= 0.0");
  const DimVector sizes = broadcast_shapes("normal", mean.sizes(), std.sizes());
  return empty(sizes, mean.options()).normal_(0, 1, generator).mul_(std).add_(mean);
}

// --- Factories -----------------------------------------------------------------------------

Tensor rand(IntArrayRef sizes, const TensorOptions& options) {
  return rand(sizes, nullptr, options);
}

Tensor rand(IntArrayRef sizes, Generator* generator, const TensorOptions& options) {
  return draw_new("rand", sizes, RandomKind::kUniform, 0, 1, generator, options);
}

Tensor randn(IntArrayRef sizes, const TensorOptions& options) {
  return randn(sizes, nullptr, options);
}

Tensor randn(IntArrayRef sizes, Generator* generator, const TensorOptions& options) {
  return draw_new("randn", sizes, RandomKind::kNormal, 0, 1, generator, options);
}

Tensor randint(int64_t high, IntArrayRef sizes, const TensorOptions& options) {
  return randint(0, high, sizes, nullptr, options);
}

Tensor randint(int64_t high, IntArrayRef sizes, Generator* generator,
               const TensorOptions& options) {
  return randint(0, high, sizes, generator, options);
}

Tensor randint(int64_t low, int64_t high, IntArrayRef sizes, const TensorOptions& options) {
  return randint(low, high, sizes, nullptr, options);
}

Tensor randint(int64_t low, int64_t high, IntArrayRef sizes, Generator* generator,
               const TensorOptions& options) {
  const ScalarType dtype = options.dtype_opt().value_or(kLong);
  detail::check_integer_range("randint", dtype, low, high);
  const Tensor out = detail::make_empty(sizes, dtype, options.device());
  detail::draw("randint", out, RandomKind::kInteger, 0, 0, low, high, generator);
  return finish(out, options);
}

Tensor randperm(int64_t n, const TensorOptions& options) { return randperm(n, nullptr, options); }

Tensor randperm(int64_t n, Generator* generator, const TensorOptions& options) {
  if (n < 0) throw ValueError(str("[randperm] n must be non-negative, got ", n));
  const ScalarType dtype = options.dtype_opt().value_or(kLong);
  if (n > 0) detail::check_integer_range("randperm", dtype, 0, n);
  const Tensor out = detail::make_empty(n, dtype, options.device());
  detail::draw("randperm", out, RandomKind::kPermutation, 0, 0, 0, 0, generator);
  return finish(out, options);
}

Tensor rand_like(const Tensor& x, const TensorOptions& options) {
  return draw_like("rand_like", x, RandomKind::kUniform, 0, 1, options);
}

Tensor randn_like(const Tensor& x, const TensorOptions& options) {
  return draw_like("randn_like", x, RandomKind::kNormal, 0, 1, options);
}

Tensor randint_like(const Tensor& x, int64_t high, const TensorOptions& options) {
  return randint_like(x, 0, high, options);
}

Tensor randint_like(const Tensor& x, int64_t low, int64_t high, const TensorOptions& options) {
  const Tensor out = empty_like(x, options.requires_grad(false));
  detail::check_integer_range("randint_like", out.dtype(), low, high);
  detail::draw("randint_like", out, RandomKind::kInteger, 0, 0, low, high, nullptr);
  return finish(out, options);
}

}  // namespace tarn
