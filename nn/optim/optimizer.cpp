#include "tarn/nn/optim/optimizer.h"

#include <unordered_set>

#include "tarn/core/factories.h"
#include "tarn/core/grad_mode.h"
#include "tarn/core/node.h"

namespace tarn::optim {
namespace {

// Whether kernels may run over t and p side by side.
bool is_like(const TensorImpl& t, const TensorImpl& p) {
  return t.contiguous && t.dtype == p.dtype && t.numel == p.numel &&
         t.storage.device() == p.storage.device();
}

}  // namespace

Optimizer::Optimizer(const std::vector<OptimizerParamGroup>& groups,
                     std::unique_ptr<OptimizerOptions> defaults)
    : defaults_(std::move(defaults)) {
  defaults_->check();
  for (const OptimizerParamGroup& group : groups) add_param_group(group);
}

void Optimizer::add_param_group(const OptimizerParamGroup& group) {
  OptimizerParamGroup added = group;
  if (!added.has_options()) added.set_options(defaults_->clone());
  OptimizerOptions &options = added.options(), &expected = *defaults_;
  if (typeid(options) != typeid(expected)) {
    throw TypeError("[optimizer] the options of a parameter group are of another optimizer");
  }
  inherit_defaults(options);
  options.check();
  std::unordered_set<const TensorImpl*> taken, own;
  for (const OptimizerParamGroup& other : groups_) {
    for (const Tensor& p : other.params()) taken.insert(p.unsafeGetTensorImpl());
  }
  for (const Tensor& p : added.params()) {
    if (!p.defined()) throw ValueError("[optimizer] can't optimize an undefined Tensor");
    if (!p.is_leaf()) throw ValueError("[optimizer] can't optimize a non-leaf Tensor");
    if (taken.contains(p.unsafeGetTensorImpl())) {
      throw ValueError("[optimizer] some parameters appear in more than one parameter group");
    }
    if (!own.insert(p.unsafeGetTensorImpl()).second) {
      throw ValueError("[optimizer] a parameter group contains duplicate parameters");
    }
  }
  groups_.push_back(std::move(added));
}

void Optimizer::zero_grad(bool set_to_none) {
  for (OptimizerParamGroup& group : groups_) {
    for (const Tensor& p : group.params()) {
      if (!p.grad().defined()) continue;
      Tensor& grad = p.mutable_grad();
      if (set_to_none)
        grad.reset();
      else
        grad.detach_().zero_();
    }
  }
}

// --- A step

Tensor Optimizer::step(LossClosure closure) {
  Tensor loss;
  if (closure) {
    AutoGradMode enabled(true);
    loss = closure();
  }
  NoGradGuard no_grad;
  find_slots();
  Slot* slot = slots_.data();
  for (const OptimizerParamGroup& group : groups_) {
    const OptimizerOptions& options = group.options();
    bool uses[OptimizerParamState::kMaxBuffers];
    for (int i = 0; i < OptimizerParamState::kMaxBuffers; ++i) uses[i] = uses_buffer(options, i);
    clear_batch();  // of a step that threw
    for (size_t i = 0; i < group.params().size(); ++i, ++slot) {
      if (!batch_slots_.empty() && !(batch_slots_.back()->param.device() == slot->param.device()))
        flush(options);
      gather(*slot, uses);
    }
    flush(options);
  }
  return loss;
}

// Users may change the groups at any time, so every step compares; that costs less than a lookup.
void Optimizer::find_slots() {
  size_t next = 0;
  bool same = true;
  for (const OptimizerParamGroup& group : groups_) {
    for (const Tensor& p : group.params()) {
      same = same && next < slots_.size() && slots_[next].param.is_same(p);
      ++next;
    }
  }
  if (same && next == slots_.size()) return;
  slots_.clear();
  States kept;
  for (const OptimizerParamGroup& group : groups_) {
    for (const Tensor& p : group.params()) {
      const auto found = states_.find(p.unsafeGetTensorImpl());
      slots_.push_back({p, found == states_.end() ? nullptr : found->second.get()});
      if (found != states_.end()) kept.insert(*found);
    }
  }
  // State without its parameter would pass to the next tensor at the same address.
  states_ = std::move(kept);
}

void Optimizer::gather(Slot& slot, const bool* uses) {
  const Tensor& gradient = slot.param.grad();
  if (!gradient.defined()) return;
  if (!slot.state) slot.state = (states_[slot.param.unsafeGetTensorImpl()] = make_state()).get();
  const TensorImpl& p = slot.param.impl();
  if (gradient.numel() != p.numel) {
    throw ShapeError(
        str("[optimizer] a parameter ", slot.param.sizes(), " has a gradient ", gradient.sizes()));
  }

  OptimTensor entry{};
  const Tensor* grad = &gradient;
  if (!is_like(gradient.impl(), p)) [[unlikely]] {
    grad =
        &converted_.emplace_back(gradient.to(slot.param.device(), slot.param.dtype()).contiguous());
  }
  entry.grad = grad->impl().data();
  entry.param = p.data();
  if (!p.contiguous) [[unlikely]] {
    write_backs_.emplace_back(slot.param, slot.param.contiguous());
    entry.param = write_backs_.back().second.data_ptr();
  }
  entry.numel = p.numel;
  entry.dtype = p.dtype;
  entry.step = slot.state->step_ + 1;
  for (int i = 0; i < OptimizerParamState::kMaxBuffers; ++i) {
    if (!uses[i]) continue;
    Tensor& buffer = slot.state->buffers_[i];
    if (!buffer.defined()) [[unlikely]] {
      entry.first_step = true;
      buffer = zeros(slot.param.sizes(), slot.param.options());
    } else if (!is_like(buffer.impl(), p)) [[unlikely]] {
      if (buffer.numel() != p.numel) {
        throw ShapeError(str("[optimizer] a parameter changed its sizes to ", slot.param.sizes(),
                             ", its state has ", buffer.sizes()));
      }
      buffer = buffer.to(slot.param.device(), slot.param.dtype()).contiguous();
    }
    entry.state[i] = buffer.impl().data();
  }
  batch_.push_back(entry);
  batch_slots_.push_back(&slot);
}

void Optimizer::flush(const OptimizerOptions& options) {
  if (!batch_.empty()) {
    const Device device = batch_slots_.front()->param.device();
    update(kernels(device), options, batch_.data(), static_cast<int64_t>(batch_.size()));
    for (const auto& [param, updated] : write_backs_) param.copy_(updated);
    for (const Slot* slot : batch_slots_) {
      slot->state->step_ += 1;
      inplace_history(slot->param, nullptr);
    }
  }
  clear_batch();
}

void Optimizer::clear_batch() {
  batch_.clear();
  batch_slots_.clear();
  converted_.clear();
  write_backs_.clear();
}

void Optimizer::update(const KernelTable&, const OptimizerOptions&, const OptimTensor*,
                       int64_t) const {
  throw NotImplementedError("[optimizer] step() is not implemented: override it");
}

}  // namespace tarn::optim
