// Optimizer: the base of what turns gradients into better parameters.
//
//   optim::SGD optimizer(net->parameters(), optim::SGDOptions(0.1).momentum(0.9));
//   optimizer.zero_grad(); loss.backward(); optimizer.step();
//
// Names are libtorch's (https://pytorch.org/cppdocs/api/classtorch_1_1optim_1_1_optimizer.html);
// state_dict() and load_state_dict() are PyTorch's and exchange files with it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tarn/core/value.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn::optim {

// Goes through the fields of an options class: writes them into a dict, or reads from one those it
// has.
class OptionFields {
 public:
  static OptionFields writer(Value& dict) { return {&dict, nullptr, nullptr}; }
  static OptionFields reader(const Value& dict) { return {nullptr, &dict, nullptr}; }
  // Reads only into fields that are as in `untouched`.
  static OptionFields filler(const Value& dict, const Value& untouched) {
    return {nullptr, &dict, &untouched};
  }
  void operator()(const char* key, double& field);
  void operator()(const char* key, bool& field);
  void operator()(const char* key, int64_t& field);
  // A tuple of two.
  void operator()(const char* key, double& first, double& second);
  // One of PyTorch's settings that makes no difference here: written, and ignored when read.
  void constant(const char* key, Value value);

 private:
  OptionFields(Value* to, const Value* from, const Value* untouched)
      : to_(to), from_(from), untouched_(untouched) {}
  // What to read into fields with these values.
  const Value* find(const char* key, std::initializer_list<double> values) const;

  Value* to_;
  const Value* from_;
  const Value* untouched_;
};

// The settings of a parameter group. Setters return the object:
// AdamOptions(1e-3).weight_decay(0.1).
class OptimizerOptions {
 public:
  virtual ~OptimizerOptions() = default;
  virtual std::unique_ptr<OptimizerOptions> clone() const = 0;
  // Options of the same class with nothing set; null if the class has none.
  virtual std::unique_ptr<OptimizerOptions> untouched() const { return nullptr; }
  virtual double get_lr() const = 0;
  virtual void set_lr(double lr) = 0;
  // Names every field, in PyTorch's order.
  virtual void visit(OptionFields& /*fields*/) {}
  // Throws ValueError for values that make no sense.
  virtual void check() const {}
};
// Gives Derived its clone() and untouched().
template <class Derived>
class OptimizerCloneableOptions : public OptimizerOptions {
 public:
  std::unique_ptr<OptimizerOptions> clone() const override {
    return std::make_unique<Derived>(static_cast<const Derived&>(*this));
  }
  std::unique_ptr<OptimizerOptions> untouched() const override {
    if constexpr (std::is_default_constructible_v<Derived>)
      return std::make_unique<Derived>();
    else
      return nullptr;
  }
};

// What an optimizer remembers of one parameter. Subclasses name its tensors.
class OptimizerParamState {
 public:
  static constexpr int kMaxBuffers = 3;
  virtual ~OptimizerParamState() = default;

 protected:
  friend class Optimizer;
  double step_ = 0;              // steps made so far
  Tensor buffers_[kMaxBuffers];  // like the parameter; undefined until used
};

// Parameters that share settings. A group without options has the optimizer's defaults; of a
// group's own options, those left at the values of their class follow the optimizer's as well, so
// that AdamOptions().weight_decay(0.1) changes nothing but the weight decay.
class OptimizerParamGroup {
 public:
  OptimizerParamGroup(std::vector<Tensor> params) : params_(std::move(params)) {}  // NOLINT
  OptimizerParamGroup(std::vector<Tensor> params, std::unique_ptr<OptimizerOptions> options)
      : params_(std::move(params)), options_(std::move(options)) {}
  OptimizerParamGroup(const OptimizerParamGroup& other)
      : params_(other.params_),
        options_(other.options_ ? other.options_->clone() : nullptr),
        initial_lr_(other.initial_lr_) {}
  OptimizerParamGroup(OptimizerParamGroup&&) noexcept = default;
  OptimizerParamGroup& operator=(OptimizerParamGroup other) noexcept {
    params_.swap(other.params_);
    options_.swap(other.options_);
    initial_lr_ = other.initial_lr_;
    return *this;
  }

  std::vector<Tensor>& params() { return params_; }
  const std::vector<Tensor>& params() const { return params_; }
  bool has_options() const { return options_ != nullptr; }
  // Throws Error if there are none.
  OptimizerOptions& options() const {
    TARN_CHECK(
        options_,
        "[optimizer] this parameter group has no options before it is added to an optimizer");
    return *options_;
  }
  void set_options(std::unique_ptr<OptimizerOptions> options) { options_ = std::move(options); }
  // The learning rate from which a scheduler started; empty without one.
  std::optional<double> initial_lr() const { return initial_lr_; }
  void set_initial_lr(std::optional<double> lr) { initial_lr_ = lr; }

 private:
  std::vector<Tensor> params_;
  std::unique_ptr<OptimizerOptions> options_;
  std::optional<double> initial_lr_;
};

class Optimizer {
 public:
  using LossClosure = std::function<Tensor()>;
  using States = std::unordered_map<void*, std::shared_ptr<OptimizerParamState>>;

  // Throws ValueError as add_param_group() does.
  Optimizer(const std::vector<OptimizerParamGroup>& groups,
            std::unique_ptr<OptimizerOptions> defaults);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Updates all parameters that have a gradient. A closure is called first, with gradients enabled;
  // it computes the loss and its gradients, and step() returns the loss.
  virtual Tensor step(LossClosure closure = nullptr);
  void zero_grad(bool set_to_none = true);

  // Fills in the group's options as said above. Throws ValueError for a parameter that is
  // undefined, not a leaf, or in a group already, and for options that make no sense.
  void add_param_group(const OptimizerParamGroup& group);
  std::vector<OptimizerParamGroup>& param_groups() { return groups_; }
  const std::vector<OptimizerParamGroup>& param_groups() const { return groups_; }
  OptimizerOptions& defaults() { return *defaults_; }
  const OptimizerOptions& defaults() const { return *defaults_; }
  // By parameter.unsafeGetTensorImpl(), for parameters that have been updated.
  const States& state() const { return states_; }

  // {"state": {number of the parameter: {...}}, "param_groups": [{..., "params": [numbers]}]}:
  // PyTorch's layout. Tensors share their bytes with the optimizer's.
  Value state_dict() const;
  // Takes over settings and copies state, converted to dtype and device of the parameters. Throws
  // ValueError if the groups are others or the state is of another optimizer; then nothing has
  // changed.
  void load_state_dict(const Value& state_dict);

 protected:
  // What a subclass says of itself to use the step() and state_dict() of this class. One that
  // overrides both needs none of it.
  struct StateLayout {
    bool has_step;
    int required;                                         // so many first buffers always exist
    const char* names[OptimizerParamState::kMaxBuffers];  // of buffers, null beyond the last
  };
  virtual StateLayout layout() const { return {}; }
  virtual std::shared_ptr<OptimizerParamState> make_state() const {
    return std::make_shared<OptimizerParamState>();
  }
  // Whether an update with these settings uses buffer i.
  virtual bool uses_buffer(const OptimizerOptions& /*options*/, int /*i*/) const { return false; }
  // Updates parameters of one device in one pass.
  virtual void update(const KernelTable& table, const OptimizerOptions& options,
                      const OptimTensor* tensors, int64_t count) const;

 private:
  void inherit_defaults(OptimizerOptions& options) const;
  // A parameter of a group, in order, and its state; kept so that a step looks nothing up.
  struct Slot {
    Tensor param;
    OptimizerParamState* state;
  };
  void find_slots();
  void gather(Slot& slot, const bool* uses);
  void flush(size_t group);
  void clear_batch();
  // An update that a CUDA graph makes in each replay.
  struct Captured;
  void capture(size_t group);
  void check_captured(const Captured& update) const;
  void replay(Captured& update);
  size_t num_params() const;
  std::shared_ptr<OptimizerParamState> read_state(const Value& state, const Tensor& param) const;

  std::vector<OptimizerParamGroup> groups_;
  std::unique_ptr<OptimizerOptions> defaults_;
  States states_;
  std::vector<Slot> slots_;
  // The update being put together; members so that their memory is kept.
  std::vector<OptimTensor> batch_;
  std::vector<Slot*> batch_slots_;
  std::vector<Tensor> converted_;  // gradients in the parameter's form
  std::vector<std::pair<Tensor, Tensor>>
      write_backs_;  // contiguous copies of parameters that are not
};

}  // namespace tarn::optim
