// Activation functions. See pointwise_op.h for what each member means.
#pragma once

#include "tarn/kernels/pointwise_op.h"

namespace tarn::op {

struct Tanh : Pointwise<1> {
  static constexpr const char* kName = "tanh";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return tanh(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g * (-y * y + Lit<V>(1));
  }
};
struct Sigmoid : Pointwise<1> {
  static constexpr const char* kName = "sigmoid";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return sigmoid(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g * (-y + Lit<V>(1)) * y;
  }
};
struct LogSigmoid : Pointwise<1> {
  static constexpr const char* kName = "log_sigmoid";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return -softplus1(-x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * sigmoid(-x);
  }
};
struct Relu : Pointwise<1, Rule::kNumber> {
  static constexpr const char* kName = "relu";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return x < V{0} ? V{0} : x;
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return where(y <= Lit<V>(0), Lit<V>(0), g);
  }
};
struct LeakyRelu : Pointwise<1> {
  static constexpr const char* kName = "leaky_relu";
  static constexpr unsigned kSaves[] = {kX};
  double negative_slope = 0.01;
  template <class V>
  TARN_HD V forward(V x) const {
    return x > V{0} ? x : x * Lit<V>(negative_slope);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return where(x > Lit<V>(0), g, g * Lit<V>(negative_slope));
  }
};
// scale * x above 0, scale * alpha * (e^(input_scale x) - 1) below: ELU, SELU and CELU.
struct Elu : Pointwise<1> {
  static constexpr const char* kName = "elu";
  static constexpr unsigned kSaves[] = {kX};
  double alpha = 1, scale = 1, input_scale = 1;
  template <class V>
  TARN_HD V forward(V x) const {
    return x > V{0} ? x * Lit<V>(scale) : expm1(x * Lit<V>(input_scale)) * Lit<V>(scale * alpha);
  }
  // The exponential's argument is held at 0 where it is not used, or its own gradient would
  // overflow.
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    const V low = where(x > Lit<V>(0), Lit<V>(0), x);
    return where(x > Lit<V>(0), g * Lit<V>(scale),
                 g * exp(low * Lit<V>(input_scale)) * Lit<V>(scale * alpha * input_scale));
  }
};
// x * P(Z <= x) for a normal Z (https://arxiv.org/abs/1606.08415).
struct Gelu : Pointwise<1> {
  static constexpr const char* kName = "gelu";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return x * normal_cdf(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * (normal_cdf(x) + x * exp(x * x * Lit<V>(-0.5)) * Lit<V>(0.39894228040143267794));
  }
};
// The same with P approximated by a tanh; beta = sqrt(2 / pi).
struct GeluTanh : Pointwise<1> {
  static constexpr const char* kName = "gelu_tanh";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD static V inner(const V& x) {
    return tanh(x * (x * x * Lit<V>(0.044715) + Lit<V>(1)) * Lit<V>(0.79788456080286535588));
  }
  template <class V>
  TARN_HD V forward(V x) const {
    return x * Lit<V>(0.5) * (inner(x) + Lit<V>(1));
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    const V t = inner(x);
    const V slope = (x * x * Lit<V>(0.134145) + Lit<V>(1)) * Lit<V>(0.79788456080286535588);
    return g * ((t + Lit<V>(1)) * Lit<V>(0.5) + x * (-t * t + Lit<V>(1)) * slope * Lit<V>(0.5));
  }
};
struct Silu : Pointwise<1> {
  static constexpr const char* kName = "silu";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return x * sigmoid(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    const V s = sigmoid(x);
    return g * s * (x * (-s + Lit<V>(1)) + Lit<V>(1));
  }
};
struct Mish : Pointwise<1> {
  static constexpr const char* kName = "mish";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return x * tanh(softplus1(x));
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    // tanh(log(1 + w)), where it is not 1: without a kink at 0, so that it has derivatives too.
    const V w = exp(where(x > Lit<V>(20), Lit<V>(20), x)), n = w * (w + Lit<V>(2));
    const V t = n / (n + Lit<V>(2));
    return g * (t + x * sigmoid(x) * (-t * t + Lit<V>(1)));
  }
};
// log(1 + e^(beta x)) / beta, and x itself where beta x > threshold.
struct Softplus : Pointwise<1> {
  static constexpr const char* kName = "softplus";
  static constexpr unsigned kSaves[] = {kX};
  double beta = 1, threshold = 20;
  template <class V>
  TARN_HD V forward(V x) const {
    const V z = x * Lit<V>(beta);
    return z > Lit<V>(threshold) ? x : softplus1(z) / Lit<V>(beta);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    const V z = x * Lit<V>(beta);
    return where(z > Lit<V>(threshold), g, g * sigmoid(z));
  }
};

using ActivationOps =
    List<Tanh, Sigmoid, LogSigmoid, Relu, LeakyRelu, Elu, Gelu, GeluTanh, Silu, Mish, Softplus>;

}  // namespace tarn::op
