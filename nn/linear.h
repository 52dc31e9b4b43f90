// Linear layers, and layers that only change shapes. Sources:
// https://pytorch.org/docs/stable/nn.html#linear-layers, .../generated/torch.nn.Flatten.html
#pragma once

#include "tarn/nn/module_holder.h"

namespace tarn::nn {

class LinearOptions {
 public:
  LinearOptions(int64_t in_features, int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}
  int64_t in_features() const { return in_features_; }
  LinearOptions& in_features(int64_t value) { return in_features_ = value, *this; }
  int64_t out_features() const { return out_features_; }
  LinearOptions& out_features(int64_t value) { return out_features_ = value, *this; }
  bool bias() const { return bias_; }
  LinearOptions& bias(bool value) { return bias_ = value, *this; }

 private:
  int64_t in_features_, out_features_;
  bool bias_ = true;
};

// y = x weight^T + bias for x (..., in_features); y is (..., out_features).
class LinearImpl : public Module {
 public:
  LinearImpl(int64_t in_features, int64_t out_features)
      : LinearImpl(LinearOptions(in_features, out_features)) {}
  explicit LinearImpl(const LinearOptions& options);

  // Uniform within 1 / sqrt(in_features), weight first: PyTorch's numbers under one seed.
  void reset_parameters();
  Tensor forward(const Tensor& x) { return tarn::linear(x, weight, bias); }
  void pretty_print(std::ostream& stream) const override;

  LinearOptions options;
  Tensor weight;  // (out_features, in_features)
  Tensor bias;    // (out_features), undefined without one

 protected:
  // Without values: for a subclass that does not know in_features yet.
  LinearImpl(const LinearOptions& options, const Tensor& weight);
};
TARN_MODULE(Linear);

// A Linear that learns in_features from its first input, or from the state dict it loads. Until
// then its weight has size 0, but is the tensor that optimizers may already hold.
class LazyLinearImpl : public LinearImpl {
 public:
  explicit LazyLinearImpl(int64_t out_features) : LazyLinearImpl(LinearOptions(0, out_features)) {}
  explicit LazyLinearImpl(const LinearOptions& options);

  Tensor forward(const Tensor& x) {
    if (options.in_features() == 0) [[unlikely]]
      learn_size(x);
    return LinearImpl::forward(x);
  }
  void pretty_print(std::ostream& stream) const override;

 protected:
  bool accepts_sizes(const std::string& name, IntArrayRef sizes) const override;

 private:
  void learn_size(const Tensor& x);
};
TARN_MODULE(LazyLinear);

// Returns its input; takes the place of a layer that is left out.
class IdentityImpl : public Module {
 public:
  Tensor forward(const Tensor& x) { return x; }
  void pretty_print(std::ostream& stream) const override;
};
TARN_MODULE(Identity);

class FlattenOptions {
 public:
  int64_t start_dim() const { return start_dim_; }
  FlattenOptions& start_dim(int64_t value) { return start_dim_ = value, *this; }
  int64_t end_dim() const { return end_dim_; }
  FlattenOptions& end_dim(int64_t value) { return end_dim_ = value, *this; }

 private:
  int64_t start_dim_ = 1, end_dim_ = -1;
};

// Joins the dimensions start_dim to end_dim: (n, c, h, w) becomes (n, c * h * w).
class FlattenImpl : public Module {
 public:
  explicit FlattenImpl(const FlattenOptions& options_ = {}) : options(options_) {}
  Tensor forward(const Tensor& x) { return x.flatten(options.start_dim(), options.end_dim()); }
  void pretty_print(std::ostream& stream) const override;

  FlattenOptions options;
};
TARN_MODULE(Flatten);

class UnflattenOptions {
 public:
  UnflattenOptions(int64_t dim, std::vector<int64_t> sizes) : dim_(dim), sizes_(std::move(sizes)) {}
  int64_t dim() const { return dim_; }
  UnflattenOptions& dim(int64_t value) { return dim_ = value, *this; }
  const std::vector<int64_t>& sizes() const { return sizes_; }
  UnflattenOptions& sizes(std::vector<int64_t> value) { return sizes_ = std::move(value), *this; }

 private:
  int64_t dim_;
  std::vector<int64_t> sizes_;
};

// Splits dimension dim into several of these sizes, one of which may be -1.
class UnflattenImpl : public Module {
 public:
  UnflattenImpl(int64_t dim, std::vector<int64_t> sizes) : options(dim, std::move(sizes)) {}
  explicit UnflattenImpl(const UnflattenOptions& options_) : options(options_) {}
  Tensor forward(const Tensor& x) { return x.unflatten(options.dim(), options.sizes()); }
  void pretty_print(std::ostream& stream) const override;

  UnflattenOptions options;
};
TARN_MODULE(Unflatten);

}  // namespace tarn::nn
