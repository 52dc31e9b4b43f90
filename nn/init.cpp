#include "tarn/nn/init.h"

#include <algorithm>
#include <cmath>

#include "tarn/core/factories.h"
#include "tarn/core/grad_mode.h"

namespace tarn::nn::init {
namespace {

double kaiming_std(const Tensor& tensor, double a, FanMode mode, Nonlinearity nonlinearity) {
  const auto [fan_in, fan_out] = calculate_fan_in_and_fan_out(tensor);
  return calculate_gain(nonlinearity, a) /
         std::sqrt(static_cast<double>(mode == kFanIn ? fan_in : fan_out));
}

double xavier_std(const Tensor& tensor, double gain) {
  const auto [fan_in, fan_out] = calculate_fan_in_and_fan_out(tensor);
  return gain * std::sqrt(2.0 / static_cast<double>(fan_in + fan_out));
}

// The bound of a uniform distribution with this standard deviation.
double bound_of(double std) { return std::sqrt(3.0) * std; }

void check_matrix(const char* op, const Tensor& tensor) {
  if (tensor.dim() == 2) return;
  throw ShapeError(
      str("[", op, "] Only tensors with 2 dimensions are supported, got ", tensor.sizes()));
}

// Makes the rows of a (rows, length) orthonormal: Gram-Schmidt, each row against those before it,
// twice, since once leaves what rounding left. This is the Q of the QR decomposition whose R has a
// positive diagonal, which is unique.
void orthonormalize(double* a, int64_t rows, int64_t length) {
  for (int64_t i = 0; i < rows; ++i) {
    double* const row = a + i * length;
    for (int64_t j = 0; j < 2 * i; ++j) {
      const double* const other = a + (j % i) * length;
      double product = 0;
      for (int64_t k = 0; k < length; ++k) product += row[k] * other[k];
      for (int64_t k = 0; k < length; ++k) row[k] -= product * other[k];
    }
    double squares = 0;
    for (int64_t k = 0; k < length; ++k) squares += row[k] * row[k];
    for (int64_t k = 0; k < length; ++k) row[k] /= std::sqrt(squares);
  }
}

}  // namespace

double calculate_gain(Nonlinearity nonlinearity, double param) {
  switch (nonlinearity) {
    case Nonlinearity::Tanh:
      return 5.0 / 3.0;
    case Nonlinearity::ReLU:
      return std::sqrt(2.0);
    case Nonlinearity::LeakyReLU:
      return std::sqrt(2.0 / (1 + param * param));
    case Nonlinearity::SELU:
      return 0.75;
    default:
      return 1.0;
  }
}

std::pair<int64_t, int64_t> calculate_fan_in_and_fan_out(const Tensor& tensor) {
  if (tensor.dim() < 2) {
    throw ValueError(
        str("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got ",
            tensor.sizes()));
  }
  int64_t kernel = 1;
  for (int64_t d = 2; d < tensor.dim(); ++d) kernel *= tensor.size(d);
  return {tensor.size(1) * kernel, tensor.size(0) * kernel};
}

Tensor constant_(Tensor tensor, const Scalar& value) {
  NoGradGuard no_grad;
  return tensor.fill_(value);
}
Tensor ones_(Tensor tensor) { return constant_(std::move(tensor), 1); }
Tensor zeros_(Tensor tensor) { return constant_(std::move(tensor), 0); }

Tensor uniform_(Tensor tensor, double low, double high) {
  NoGradGuard no_grad;
  return tensor.uniform_(low, high);
}

Tensor normal_(Tensor tensor, double mean, double std) {
  NoGradGuard no_grad;
  return tensor.normal_(mean, std);
}

Tensor eye_(Tensor matrix) {
  NoGradGuard no_grad;
  check_matrix("eye_", matrix);
  return matrix.copy_(eye(matrix.size(0), matrix.size(1), matrix.options()));
}

Tensor dirac_(Tensor tensor) {
  NoGradGuard no_grad;
  if (tensor.dim() < 3 || tensor.dim() > 5) {
    throw ShapeError(str("[dirac_] Only tensors with 3, 4, or 5 dimensions are supported, got ",
                         tensor.sizes()));
  }
  tensor.zero_();
  for (int64_t channel = 0; channel < std::min(tensor.size(0), tensor.size(1)); ++channel) {
    Tensor centre = tensor[channel][channel];
    while (centre.dim() > 0) centre = centre.select(0, centre.size(0) / 2);
    centre.fill_(1);
  }
  return tensor;
}

Tensor orthogonal_(Tensor tensor, double gain) {
  NoGradGuard no_grad;
  if (tensor.dim() < 2)
    throw ShapeError(str("[orthogonal_] Only tensors with 2 or more dimensions are supported, got ",
                         tensor.sizes()));
  if (tensor.numel() == 0) return tensor;
  const int64_t rows = tensor.size(0), columns = tensor.numel() / rows;
  const Tensor random = empty({rows, columns}, tensor.options()).normal_(0, 1);
  const bool by_column = rows >= columns;
  const Tensor q = (by_column ? random.t() : random).to(kDouble).cpu().contiguous().clone();
  orthonormalize(q.data_ptr<double>(), q.size(0), q.size(1));
  return tensor.copy_((by_column ? q.t() : q).reshape(tensor.sizes())).mul_(gain);
}

Tensor sparse_(Tensor matrix, double sparsity, double std) {
  NoGradGuard no_grad;
  check_matrix("sparse_", matrix);
  const int64_t rows = matrix.size(0);
  const auto zeros = static_cast<int64_t>(std::ceil(sparsity * static_cast<double>(rows)));
  matrix.normal_(0, std);
  for (int64_t column = 0; column < matrix.size(1); ++column) {
    const Tensor chosen = randperm(rows).narrow(0, 0, zeros).to(matrix.device());
    matrix.select(1, column).index_fill_(0, chosen, 0);
  }
  return matrix;
}

Tensor xavier_uniform_(Tensor tensor, double gain) {
  const double bound = bound_of(xavier_std(tensor, gain));
  return uniform_(std::move(tensor), -bound, bound);
}
Tensor xavier_normal_(Tensor tensor, double gain) {
  const double std = xavier_std(tensor, gain);
  return normal_(std::move(tensor), 0, std);
}

Tensor kaiming_uniform_(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity) {
  const double std = kaiming_std(tensor, a, mode, nonlinearity);
  if (tensor.numel() == 0) return tensor;
  return uniform_(std::move(tensor), -bound_of(std), bound_of(std));
}
Tensor kaiming_normal_(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity) {
  const double std = kaiming_std(tensor, a, mode, nonlinearity);
  if (tensor.numel() == 0) return tensor;
  return normal_(std::move(tensor), 0, std);
}

}  // namespace tarn::nn::init
