#include "tarn/nn/optim/optimizer.h"

#include <unordered_set>

#include "tarn/core/factories.h"
#include "tarn/core/grad_mode.h"
#include "tarn/core/node.h"
#include "tarn/device/capture.h"

namespace tarn::optim {
namespace {

// Whether kernels may run over t and p side by side.
bool is_like(const TensorImpl& t, const TensorImpl& p) {
  return t.contiguous && t.dtype == p.dtype && t.numel == p.numel &&
         t.storage.device() == p.storage.device();
}

// State made in a capture would be made anew in each replay.
void check_may_make_state() {
  cuda::check_not_capturing("Optimizer::step",
                            "it makes its state here. HINT: more warm-up, so that each parameter "
                            "has had a gradient before");
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
  for (size_t g = 0; g < groups_.size(); ++g) {
    const OptimizerOptions& options = groups_[g].options();
    bool uses[OptimizerParamState::kMaxBuffers];
    for (int i = 0; i < OptimizerParamState::kMaxBuffers; ++i) uses[i] = uses_buffer(options, i);
    clear_batch();  // of a step that threw
    for (size_t i = 0; i < groups_[g].params().size(); ++i, ++slot) {
      if (!batch_slots_.empty() && !(batch_slots_.back()->param.device() == slot->param.device()))
        flush(g);
      gather(*slot, uses);
    }
    flush(g);
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
  if (!slot.state) [[unlikely]] {
    check_may_make_state();
    slot.state = (states_[slot.param.unsafeGetTensorImpl()] = make_state()).get();
  }
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
    if (!buffer.defined() || !is_like(buffer.impl(), p)) [[unlikely]]
      check_may_make_state();
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

void Optimizer::flush(size_t group) {
  if (!batch_.empty()) {
    const bool captured = cuda::capture_id() != 0;
    if (captured) {
      capture(group);
    } else {
      const Device device = batch_slots_.front()->param.device();
      update(kernels(device), groups_[group].options(), batch_.data(),
             static_cast<int64_t>(batch_.size()));
    }
    for (const auto& [param, updated] : write_backs_) param.copy_(updated);
    for (const Slot* slot : batch_slots_) {
      if (!captured) slot->state->step_ += 1;
      inplace_history(slot->param, nullptr);
    }
  }
  clear_batch();
}

// --- In a CUDA graph

struct Optimizer::Captured {
  size_t group, num_groups, num_params;
  Device device;
  std::vector<OptimTensor> batch;
  struct Owner {
    Tensor param;
    const void* data;
    std::shared_ptr<OptimizerParamState> state;
  };
  std::vector<Owner> owners;  // of the tensors of the batch
};

void Optimizer::capture(size_t group) {
  const Device device = batch_slots_.front()->param.device();
  if (device.is_cpu()) cuda::check_not_capturing("Optimizer::step", "parameters are on the CPU");
  const auto captured =
      std::make_shared<Captured>(Captured{group, groups_.size(), num_params(), device, batch_, {}});
  for (const Slot* slot : batch_slots_) {
    captured->owners.push_back(
        {slot->param, slot->param.data_ptr(), states_.at(slot->param.unsafeGetTensorImpl())});
  }
  cuda::each_replay([this, captured] { check_captured(*captured); },
                    [this, captured] { replay(*captured); });
}

void Optimizer::check_captured(const Captured& captured) const {
  bool same = groups_.size() == captured.num_groups && num_params() == captured.num_params;
  for (size_t i = 0; same && i < captured.owners.size(); ++i) {
    const auto& [param, data, state] = captured.owners[i];
    const auto found = states_.find(param.unsafeGetTensorImpl());
    same = found != states_.end() && found->second == state && param.data_ptr() == data;
    for (int b = 0; same && b < OptimizerParamState::kMaxBuffers; ++b) {
      const void* const used = captured.batch[i].state[b];
      same = uses_buffer(groups_[captured.group].options(), b) == (used != nullptr) &&
             (!used || (state->buffers_[b].defined() && used == state->buffers_[b].data_ptr()));
    }
  }
  TARN_CHECK(same,
             "[graph_step] the captured step updates other memory, or in another way, than the "
             "optimizer now would. HINT: make a new graph_step after load_state_dict(), a change "
             "of parameters or their device, or a change of momentum or amsgrad");
}

// Runs at the capture, too, and then changes nothing of the optimizer.
void Optimizer::replay(Captured& captured) {
  for (size_t i = 0; i < captured.owners.size(); ++i)
    captured.batch[i].step = captured.owners[i].state->step_ + 1;
  update(kernels(captured.device), groups_[captured.group].options(), captured.batch.data(),
         static_cast<int64_t>(captured.batch.size()));
  if (!cuda::is_before_replay()) return;
  for (const auto& [param, data, state] : captured.owners) {
    state->step_ += 1;
    inplace_history(param, nullptr);
  }
}

size_t Optimizer::num_params() const {
  size_t count = 0;
  for (const OptimizerParamGroup& group : groups_) count += group.params().size();
  return count;
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
