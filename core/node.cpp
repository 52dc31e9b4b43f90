#include "tarn/core/node.h"

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/grad_state.h"
#include "tarn/core/shape.h"

namespace tarn {

constinit thread_local bool GradMode::enabled_ = true;

namespace {

std::atomic<uint64_t> next_sequence{1};

uint32_t& version_of(TensorImpl& t) {
  return t.own_version ? t.private_version : t.storage.unsafeGetStorageImpl()->version;
}

std::string describe(const Tensor& t) { return str("[", t.toString(), " ", t.sizes(), "]"); }

}  // namespace

// --- Node ---------------------------------------------------------------------------------------

Node::Node() : sequence_(next_sequence.fetch_add(1, std::memory_order_relaxed)) {
  if (autograd::DetectAnomalyGuard::is_enabled()) [[unlikely]]
    trace_ = std::make_unique<std::string>(autograd::forward_trace());
}

Node::~Node() = default;

void Node::dispose(Node* node) noexcept {
  // While one node is being destroyed, those it held last are queued here instead of recursing.
  static constinit thread_local std::vector<Node*>* queue = nullptr;
  if (queue) {
    queue->push_back(node);
    return;
  }
  std::vector<Node*> pending;
  queue = &pending;
  delete node;
  while (!pending.empty()) {
    Node* next = pending.back();
    pending.pop_back();
    delete next;
  }
  queue = nullptr;
}

void Node::release_saved() {
  saved_.clear();
  released_ = true;
}

void Node::add_input(const Tensor& t) { edges_.push_back(t.defined() ? gradient_edge(t) : Edge{}); }

void Node::check_not_released() const {
  TARN_CHECK(
      !released_,
      "Trying to backward through the graph a second time (or directly access saved tensors "
      "after they have already been freed). Saved intermediate values of the graph are freed "
      "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
      "to backward through the graph a second time or if you need to access saved tensors "
      "after calling backward. [",
      name(), "]");
}

Tensor Node::saved(size_t i) {
  check_not_released();
  return saved_[i].unpack(*this);
}

std::string node_name(std::string_view op, int variant) {
  std::string name;
  bool upper = true;  // a letter that begins a word or follows a digit
  for (char c : op) {
    if (c != '_') name += static_cast<char>(upper ? std::toupper(c) : c);
    upper = c == '_' || std::isdigit(c);
  }
  return str(name, "Backward", variant);
}

std::vector<Node::OutputHook>& Node::hooks() {
  if (!hooks_) hooks_ = std::make_unique<std::vector<OutputHook>>();
  return *hooks_;
}

uint32_t Node::add_output(const TensorImpl& t) {
  outputs_.push_back(OutputMeta{DimVector(t.sizes()), t.dtype, t.storage.device()});
  return static_cast<uint32_t>(outputs_.size() - 1);
}

void Node::set_output(uint32_t nr, const TensorImpl& t) {
  outputs_[nr] = OutputMeta{DimVector(t.sizes()), t.dtype, t.storage.device()};
}

// --- SavedTensor --------------------------------------------------------------------------------

SavedTensor SavedTensor::input(const Tensor& t) {
  SavedTensor s;
  s.tensor_ = t;
  if (t.defined()) s.version_ = version_of(t.impl());
  return s;
}

SavedTensor SavedTensor::output(const Tensor& t) {
  SavedTensor s;
  s.tensor_ = alias(t, t.sizes(), t.strides(), t.storage_offset(), false);
  s.version_ = version_of(t.impl());
  s.output_nr_ = t.output_nr();
  s.is_output_ = true;
  return s;
}

Tensor SavedTensor::unpack(Node& owner) const {
  if (!tensor_.defined()) return tensor_;
  const uint32_t version = version_of(tensor_.impl());
  TARN_CHECK(version == version_,
             "one of the variables needed for gradient computation has been modified by an inplace "
             "operation: ",
             describe(tensor_), ", which is ", is_output_ ? "an output" : "an input", " of ",
             owner.name(), ", is at version ", version, "; expected version ", version_,
             " instead. HINT: compute on a clone(), or use the out-of-place form of the operation");
  if (!is_output_ || !GradMode::is_enabled()) return tensor_;
  Tensor attached =
      alias(tensor_, tensor_.sizes(), tensor_.strides(), tensor_.storage_offset(), false);
  attached.impl().grad_fn = IntrusivePtr<Node>::share(&owner);
  attached.impl().output_nr = output_nr_;
  return attached;
}

// --- Leaves -------------------------------------------------------------------------------------

AccumulateGrad::AccumulateGrad(TensorImpl* leaf) : leaf_(leaf) {
  sequence_ = 0;  // runs when every gradient has arrived
  add_output(*leaf);
}

void AccumulateGrad::detach_leaf() {
  const std::lock_guard lock(mutex_);
  leaf_ = nullptr;
}

Tensor AccumulateGrad::variable() const {
  const std::lock_guard lock(mutex_);
  return leaf_ ? Tensor(IntrusivePtr<TensorImpl>::share(leaf_)) : Tensor();
}

void AccumulateGrad::apply(TensorList grads, Tensor*) {
  const Tensor& g = grads[0];
  if (!g.defined()) return;
  const std::lock_guard lock(mutex_);
  if (!leaf_) return;
  Tensor& total = grad_state(*leaf_).grad;
  if (!total.defined()) {
    // Gradients are laid out as their leaf, or contiguous where that has gaps.
    const bool by_rows = leaf_->contiguous || !is_dense(leaf_->sizes(), leaf_->strides());
    const bool fits = by_rows ? g.is_contiguous() : g.strides() == leaf_->strides();
    // Nobody else holds a gradient that was just computed: keep it instead of a copy.
    const bool ours = !GradMode::is_enabled() && g.use_count() == 1 &&
                      g.storage().use_count() == 1 && fits && !g.requires_grad();
    if (ours) {
      total = g;
    } else if (by_rows) {
      total = g.clone(MemoryFormat::Contiguous);
    } else {
      total = empty_strided(leaf_->sizes(), leaf_->strides(), g.options()).copy_(g);
    }
  } else if (GradMode::is_enabled()) {
    total = total + g;
  } else {
    total.add_(g);
  }
}

Edge gradient_edge(const Tensor& t) {
  if (IntrusivePtr<Node> producer = t.grad_fn()) return {std::move(producer), t.output_nr()};
  TensorImpl& impl = t.impl();
  if (!impl.requires_grad) return {};
  GradState& state = grad_state(impl);
  if (!state.accumulator) state.accumulator = IntrusivePtr<Node>::adopt(new AccumulateGrad(&impl));
  return {state.accumulator, 0};
}

bool needs_grad(std::initializer_list<const Tensor*> inputs) {
  if (!GradMode::is_enabled()) return false;
  for (const Tensor* t : inputs) {
    if (t->defined() && t->requires_grad()) return true;
  }
  return false;
}

bool needs_grad(TensorList inputs) {
  if (!GradMode::is_enabled()) return false;
  for (const Tensor& t : inputs) {
    if (t.defined() && t.requires_grad()) return true;
  }
  return false;
}

void set_history(const Tensor& out, IntrusivePtr<Node> node) {
  TensorImpl& impl = out.impl();
  impl.output_nr = node->add_output(impl);
  impl.grad_fn = std::move(node);
  impl.grad_fn_version = version_of(impl);
}

// --- Views and in-place writes ------------------------------------------------------------------

Tensor alias(const Tensor& t, IntArrayRef sizes, IntArrayRef strides, int64_t offset,
             bool is_view) {
  TensorImpl& from = t.impl();
  auto* impl = new TensorImpl(from.storage, from.dtype, sizes, strides, offset);
  impl->own_version = from.own_version;
  impl->private_version = from.private_version;
  if (is_view) {
    impl->base = from.base ? from.base : IntrusivePtr<TensorImpl>::share(&from);
    impl->made_without_grad = !GradMode::is_enabled();
    impl->grad_fn_version = version_of(*impl);
  }
  return Tensor(IntrusivePtr<TensorImpl>::adopt(impl));
}

namespace {

struct Geometry {
  explicit Geometry(const TensorImpl& t)
      : sizes(t.sizes()), strides(t.strides()), offset(t.offset) {}
  Tensor of(const Tensor& t, int64_t shift) const {
    return t.as_strided(sizes, strides, offset + shift);
  }
  DimVector sizes, strides;
  int64_t offset;
};

// The gradient of base for the gradient g of a view of it: g's elements put where they came from.
Tensor scatter_view(const Tensor& g, const Geometry& view, const Geometry& base) {
  return as_strided_backward(g, view.sizes, view.strides, view.offset, base.sizes, base.strides,
                             base.offset);
}

// An in-place write `fn` to a view, seen from the view's base: outside the view the base's gradient
// passes unchanged, inside it is fn's.
class CopySlices final : public Node {
 public:
  CopySlices(const Tensor& base, const TensorImpl& view, IntrusivePtr<Node> fn)
      : base_(base.impl()), view_(view), fn_(std::move(fn)) {
    add_edge(gradient_edge(base));
    for (size_t i = 1; i < fn_->next_edges().size(); ++i) add_edge(fn_->next_edge(i));
  }
  std::string name() const override { return "CopySlices"; }
  void release_saved() override {
    Node::release_saved();
    fn_->release_saved();
  }
  void apply(TensorList grads, Tensor* results) override {
    if (!grads[0].defined()) return;
    check_not_released();
    const Tensor whole = like_base(grads[0]);
    const Tensor part = view_.of(whole, -base_.offset);
    std::vector<Tensor> inner(fn_->next_edges().size());
    const Tensor part_grad = part.clone();
    fn_->apply(part_grad, inner.data());
    if (inner[0].defined())
      part.copy_(inner[0].sum_to_size(part.sizes()));
    else
      part.zero_();
    results[0] = whole;
    for (size_t i = 1; i < inner.size(); ++i) results[i] = inner[i];
  }

 private:
  // A copy of g laid out as the base is, so that the view's geometry fits it.
  Tensor like_base(const Tensor& g) const {
    int64_t extent = 1;
    for (size_t d = 0; d < base_.sizes.size(); ++d)
      extent += (base_.sizes[d] - 1) * base_.strides[d];
    const Tensor copy =
        zeros({g.numel() > 0 ? extent : 0}, g.options()).as_strided(base_.sizes, base_.strides, 0);
    copy.copy_(g);
    return copy;
  }
  Geometry base_, view_;
  IntrusivePtr<Node> fn_;
};

bool has_history(const TensorImpl& t) { return t.requires_grad || t.grad_fn; }

}  // namespace

IntrusivePtr<Node> TensorBase::grad_fn() const {
  TensorImpl& t = impl();
  // A view whose base was written to since: its history is now the base's.
  if (t.base && t.grad_fn_version != version_of(t) && !t.made_without_grad &&
      has_history(*t.base)) {
    const Tensor base(t.base);
    auto node = make_node("AsStridedBackward0", {&base}, {},
                          [view = Geometry(t), from = Geometry(*t.base)](
                              const Tensor& g, Backward&) { return scatter_view(g, view, from); });
    t.output_nr = node->add_output(t);
    t.grad_fn = std::move(node);
    t.grad_fn_version = version_of(t);
  }
  return t.grad_fn;
}

bool TensorBase::requires_grad() const {
  const TensorImpl& t = impl();
  if (t.requires_grad || t.grad_fn) return true;
  // A view made without recording needs gradients if its base does, though it leads to none.
  return t.base && (static_cast<bool>(grad_fn()) || (t.made_without_grad && has_history(*t.base)));
}

void check_inplace(const char* op, const Tensor& t, bool others_require_grad) {
  const TensorImpl& impl = t.impl();
  if (has_internal_overlap(impl.view())) {
    throw Error(str("[", op,
                    "] unsupported operation: more than one element of the written-to tensor "
                    "refers to a single memory location. Please clone() the tensor before "
                    "performing the operation."));
  }
  if (!GradMode::is_enabled() || !(others_require_grad || t.requires_grad())) return;
  if (impl.base) {
    TARN_CHECK(!impl.made_without_grad, "[", op,
               "] A view was created in no_grad mode and is being modified inplace with grad mode "
               "enabled. HINT: make the view and write to it in the same mode");
    TARN_CHECK(!(t.requires_grad() && !impl.base->grad_fn), "[", op,
               "] a view of a leaf Variable that requires grad is being used in an in-place "
               "operation. HINT: write under NoGradGuard");
  }
  TARN_CHECK(!(impl.requires_grad && !impl.grad_fn), "[", op,
             "] a leaf Variable that requires grad is being used in an in-place operation. HINT: "
             "write under NoGradGuard");
}

void inplace_history(const Tensor& t, IntrusivePtr<Node> node) {
  TensorImpl& impl = t.impl();
  ++version_of(impl);
  if (!node) return;
  if (!impl.base) {
    set_history(t, std::move(node));
  } else {
    node->add_output(impl);
    const Tensor base(impl.base);
    set_history(base, IntrusivePtr<Node>::adopt(new CopySlices(base, impl, std::move(node))));
    impl.grad_fn = nullptr;
    impl.grad_fn_version = version_of(impl) - 1;  // made anew from the base when next asked for
  }
  if (t.retains_grad()) {
    // The gradient to keep is that of what is written. The old node's hook ends with `self`.
    impl.grad_state->self.reset();
    impl.grad_state->retains_grad = false;
    t.retain_grad();
  }
}

}  // namespace tarn
