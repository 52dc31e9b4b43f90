// Dropout. Source: https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html
#pragma once

#include "tarn/nn/module_holder.h"

namespace tarn::nn {

class DropoutOptions {
 public:
  DropoutOptions(double p = 0.5) : p_(p) {}  // NOLINT
  double p() const { return p_; }
  DropoutOptions& p(double value) { return p_ = value, *this; }
  bool inplace() const { return inplace_; }
  DropoutOptions& inplace(bool value) { return inplace_ = value, *this; }

 private:
  double p_;
  bool inplace_ = false;
};

namespace functional {

class DropoutFuncOptions {
 public:
  double p() const { return p_; }
  DropoutFuncOptions& p(double value) { return p_ = value, *this; }
  bool training() const { return training_; }
  DropoutFuncOptions& training(bool value) { return training_ = value, *this; }
  bool inplace() const { return inplace_; }
  DropoutFuncOptions& inplace(bool value) { return inplace_ = value, *this; }

 private:
  double p_ = 0.5;
  bool training_ = true, inplace_ = false;
};

// In training, sets each element to 0 with probability p and divides the others by 1 - p; otherwise
// returns x. Under one seed drops what PyTorch drops on the CPU. Throws ValueError unless 0 <= p <=
// 1.
Tensor dropout(const Tensor& x, double p, bool training, bool inplace = false);
inline Tensor dropout(const Tensor& x, const DropoutFuncOptions& options = {}) {
  return dropout(x, options.p(), options.training(), options.inplace());
}

}  // namespace functional

class DropoutImpl : public Module {
 public:
  explicit DropoutImpl(const DropoutOptions& options_ = {});
  Tensor forward(const Tensor& x) {
    return functional::dropout(x, options.p(), is_training(), options.inplace());
  }
  void pretty_print(std::ostream& stream) const override;

  DropoutOptions options;
};
TARN_MODULE(Dropout);

}  // namespace tarn::nn
