// Initial values of parameters. Every function overwrites its tensor in place, without recording
// it, and returns it; random ones draw from the device's default generator and give PyTorch's
// numbers. Source: https://pytorch.org/docs/stable/nn.init.html
#pragma once

#include <utility>

#include "tarn/core/tensor.h"
#include "tarn/nn/enums.h"

namespace tarn::nn::init {

// The factor that keeps variances equal across a nonlinearity. `param` is LeakyReLU's slope.
double calculate_gain(Nonlinearity nonlinearity, double param = 0.01);
// Inputs and outputs of one element of the layer with weight `tensor` (out, in, kernel...). Throws
// ValueError for fewer than 2 dimensions.
std::pair<int64_t, int64_t> calculate_fan_in_and_fan_out(const Tensor& tensor);

Tensor constant_(Tensor tensor, const Scalar& value);
Tensor ones_(Tensor tensor);
Tensor zeros_(Tensor tensor);
Tensor uniform_(Tensor tensor, double low = 0, double high = 1);
Tensor normal_(Tensor tensor, double mean = 0, double std = 1);
// The identity, for a matrix.
Tensor eye_(Tensor matrix);
// The identity as a convolution's weight: 3 to 5 dimensions.
Tensor dirac_(Tensor tensor);
// Rows (or columns, whichever are fewer) that are orthogonal, times `gain`; dimensions from the
// second on count as one.
Tensor orthogonal_(Tensor tensor, double gain = 1);
// A matrix of normal_(0, std) in which the fraction `sparsity` of every column is 0.
Tensor sparse_(Tensor matrix, double sparsity, double std = 0.01);
// Glorot and Bengio (2010): variance gain^2 * 2 / (fan_in + fan_out).
Tensor xavier_uniform_(Tensor tensor, double gain = 1);
Tensor xavier_normal_(Tensor tensor, double gain = 1);
// He et al. (2015): variance gain(nonlinearity, a)^2 / fan.
Tensor kaiming_uniform_(Tensor tensor, double a = 0, FanMode mode = kFanIn,
                        Nonlinearity nonlinearity = kLeakyReLU);
Tensor kaiming_normal_(Tensor tensor, double a = 0, FanMode mode = kFanIn,
                       Nonlinearity nonlinearity = kLeakyReLU);

}  // namespace tarn::nn::init
