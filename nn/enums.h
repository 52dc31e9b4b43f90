// The words that options take: nn::MSELossOptions().reduction(kSum), init::kaiming_normal_(w, 0,
// kFanOut, kReLU).
#pragma once

#include <cstdint>

#include "tarn/kernels/kernel_table.h"

namespace tarn {

// How a loss combines the losses of its elements.
inline constexpr Reduction kNone = Reduction::None;
inline constexpr Reduction kMean = Reduction::Mean;
inline constexpr Reduction kSum = Reduction::Sum;

namespace nn {

enum class Nonlinearity : int8_t { Linear, Conv, Sigmoid, Tanh, ReLU, LeakyReLU, SELU };
// Whether initial weights keep the variance of a layer's input or that of its gradient.
enum class FanMode : int8_t { FanIn, FanOut };
// KLDivLoss only: the sum over the batch size.
struct BatchMean {};

}  // namespace nn

inline constexpr nn::Nonlinearity kLinear = nn::Nonlinearity::Linear;
inline constexpr nn::Nonlinearity kConv1D = nn::Nonlinearity::Conv, kConv2D = kConv1D,
                                  kConv3D = kConv1D;
inline constexpr nn::Nonlinearity kConvTranspose1D = kConv1D, kConvTranspose2D = kConv1D,
                                  kConvTranspose3D = kConv1D;
inline constexpr nn::Nonlinearity kSigmoid = nn::Nonlinearity::Sigmoid;
inline constexpr nn::Nonlinearity kTanh = nn::Nonlinearity::Tanh;
inline constexpr nn::Nonlinearity kReLU = nn::Nonlinearity::ReLU;
inline constexpr nn::Nonlinearity kLeakyReLU = nn::Nonlinearity::LeakyReLU;
inline constexpr nn::Nonlinearity kSELU = nn::Nonlinearity::SELU;
inline constexpr nn::FanMode kFanIn = nn::FanMode::FanIn;
inline constexpr nn::FanMode kFanOut = nn::FanMode::FanOut;
inline constexpr nn::BatchMean kBatchMean{};

}  // namespace tarn
