#include "tarn/core/autograd.h"

#include <execinfo.h>

#include <cstdlib>
#include <utility>

#include "tarn/core/engine.h"
#include "tarn/core/factories.h"
#include "tarn/core/grad_state.h"

namespace tarn {

bool TensorBase::is_leaf() const { return !requires_grad() || !grad_fn(); }

const Tensor& TensorBase::requires_grad_(bool value) const {
  TensorImpl& t = impl();
  TARN_CHECK(!value || is_floating_point(),
             "Only Tensors of floating point and complex dtype can require gradients, got ",
             dtype());
  TARN_CHECK(value || is_leaf(),
             "you can only change requires_grad flags of leaf variables. HINT: use detach() to get "
             "a tensor that does "
             "not require gradients");
  if (!grad_fn()) t.requires_grad = value;
  return static_cast<const Tensor&>(*this);
}

const Tensor& TensorBase::grad() const {
  static const Tensor none;
  const TensorImpl& t = impl();
  if (t.grad_fn && !retains_grad() && !(t.grad_state && t.grad_state->grad.defined())) {
    warn(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
        "attribute won't be "
        "populated during autograd.backward(). Use retain_grad() if you want it");
  }
  return t.grad_state ? t.grad_state->grad : none;
}

Tensor& TensorBase::mutable_grad() const { return grad_state(impl()).grad; }

bool TensorBase::retains_grad() const {
  return impl().grad_state && impl().grad_state->retains_grad;
}

void TensorBase::retain_grad() const {
  TARN_CHECK(requires_grad(), "can't retain_grad on Tensor that has requires_grad=False");
  if (is_leaf() || retains_grad()) return;
  GradState& state = grad_state(impl());
  state.retains_grad = true;
  state.self = std::make_shared<GradState*>(&state);
  const IntrusivePtr<Node> node = grad_fn();
  // The hook must not keep the tensor alive, and the node may outlive it.
  std::weak_ptr<GradState*> weak = state.self;
  node->hooks().push_back({output_nr(),
                           [weak](const Tensor& g) -> Tensor {
                             if (const auto alive = weak.lock()) (*alive)->grad = g;
                             return g;
                           },
                           /*last=*/true});
}

namespace {

const Edge hook_edge(const Tensor& t) {
  TARN_CHECK(t.requires_grad(),
             "cannot register a hook on a variable that doesn't require gradient");
  return gradient_edge(t);
}

}  // namespace

unsigned TensorBase::add_hook(std::function<Tensor(const Tensor&)> hook) const {
  const Edge edge = hook_edge(static_cast<const Tensor&>(*this));
  auto& hooks = edge.node->hooks();
  hooks.push_back({edge.output_nr, std::move(hook)});
  return static_cast<unsigned>(hooks.size() - 1);
}

void TensorBase::remove_hook(unsigned position) const {
  const Edge edge = hook_edge(static_cast<const Tensor&>(*this));
  auto& hooks = edge.node->hooks();
  if (position >= hooks.size() || !hooks[position].call) {
    throw IndexError(str("Invalid index, no hook at position ", position));
  }
  hooks[position].call = nullptr;
}

int64_t TensorBase::_version() const {
  const TensorImpl& t = impl();
  return t.own_version ? t.private_version : t.storage.unsafeGetStorageImpl()->version;
}

void TensorBase::backward() const {
  const Tensor self = static_cast<const Tensor&>(*this);
  run_backward({&self, 1}, {}, {});
}

void TensorBase::backward(const Tensor& gradient, std::optional<bool> retain_graph,
                          bool create_graph, std::optional<TensorList> inputs) const {
  TARN_CHECK(!inputs || !inputs->empty(), "'inputs' argument to backward cannot be empty");
  const Tensor self = static_cast<const Tensor&>(*this);
  run_backward({&self, 1}, {&gradient, 1},
               {.retain_graph = retain_graph.value_or(create_graph),
                .create_graph = create_graph,
                .inputs = inputs.value_or(TensorList())});
}

namespace autograd {

void backward(const variable_list& tensors, const variable_list& grad_tensors,
              std::optional<bool> retain_graph, bool create_graph, const variable_list& inputs) {
  run_backward(tensors, grad_tensors,
               {.retain_graph = retain_graph.value_or(create_graph),
                .create_graph = create_graph,
                .inputs = inputs});
}

variable_list grad(const variable_list& outputs, const variable_list& inputs,
                   const variable_list& grad_outputs, std::optional<bool> retain_graph,
                   bool create_graph, bool allow_unused) {
  TARN_CHECK(!inputs.empty(), "grad requires non-empty inputs.");
  for (size_t i = 0; i < inputs.size(); ++i) {
    TARN_CHECK(inputs[i].requires_grad(),
               "One of the differentiated Tensors does not require grad: element ", i,
               " of the input tensors does not require grad");
  }
  variable_list captured(inputs.size());
  run_backward(outputs, grad_outputs,
               {.retain_graph = retain_graph.value_or(create_graph),
                .create_graph = create_graph,
                .inputs = inputs,
                .captured = captured.data()});
  for (size_t i = 0; i < captured.size(); ++i) {
    TARN_CHECK(
        allow_unused || captured[i].defined(),
        "One of the differentiated Tensors appears to not have been used in the graph: input ", i,
        ". Set allow_unused=True if this is the desired behavior.");
  }
  return captured;
}

// --- Anomaly mode -------------------------------------------------------------------------------

constinit thread_local DetectAnomalyGuard::Mode DetectAnomalyGuard::mode_ = Mode::kOff;

DetectAnomalyGuard::DetectAnomalyGuard(bool check_nan) : previous_(mode_) {
  mode_ = check_nan ? Mode::kCheckNan : Mode::kTrace;
}
DetectAnomalyGuard::~DetectAnomalyGuard() { mode_ = previous_; }

namespace {
// The node whose backward step runs on this thread, in anomaly mode.
constinit thread_local const Node* running = nullptr;
}  // namespace

std::string forward_trace() {
  constexpr int kMaxFrames = 64;
  void* frames[kMaxFrames];
  const int count = backtrace(frames, kMaxFrames);
  const std::unique_ptr<char*, void (*)(void*)> symbols(backtrace_symbols(frames, count),
                                                        std::free);
  std::string text;
  for (int i = 0; symbols && i < count; ++i)
    text += str("frame #", i, ": ", symbols.get()[i], "\n");
  if (running && running->trace()) {
    text += str("\nPrevious calculation was induced by ", running->name(),
                ". Traceback of forward call that induced the previous calculation:\n",
                *running->trace());
  }
  return text;
}

void apply_watched(Node& node, TensorList grads, Tensor* results) {
  const Node* const outer = std::exchange(running, &node);
  try {
    node.apply(grads, results);
    for (size_t i = 0; DetectAnomalyGuard::should_check_nan() && i < node.next_edges().size();
         ++i) {
      if (!results[i].defined() || !results[i].is_floating_point()) continue;
      const NoGradGuard guard;
      TARN_CHECK(!results[i].isnan().any().item<bool>(), "Function '", node.name(),
                 "' returned nan values in its ", i, "th output.");
    }
  } catch (...) {
    running = outer;
    if (node.trace()) {
      warn(str("Error detected in ", node.name(),
               ". Traceback of forward call that caused the error:\n", *node.trace()));
    } else {
      warn(str("Error detected in ", node.name(),
               ". No forward pass information available. Enable detect anomaly during forward pass "
               "for more information."));
    }
    throw;
  }
  running = outer;
}

}  // namespace autograd
}  // namespace tarn
