#include "tarn/core/engine.h"

#include <algorithm>
#include <unordered_map>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/grad_state.h"
#include "tarn/core/shape.h"

namespace tarn {

// One backward pass. Nodes with gathered gradients wait in a heap; a node's inputs have smaller
// sequence numbers than itself, so when it is on top nothing more can arrive for it.
class Engine {
 public:
  explicit Engine(const BackwardOptions& options) : options_(options) {}
  ~Engine() {
    // Only after an exception is anything left.
    for (Node* node : heap_) release_claim(*node);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // blame() says where the gradient comes from, for the error if it does not fit.
  template <class Blame>
  void send(const Edge& edge, Tensor grad, Blame blame);
  void find_paths(ArrayRef<Edge> roots);
  void run();

 private:
  enum class Role : int8_t { kVisiting, kUnneeded, kNeeded };
  struct Target {
    Node* node;
    uint32_t output_nr;
    size_t input;
  };
  using Grads = SmallVector<Tensor, 1>;

  bool is_target(const Node* node) const {
    return std::any_of(targets_.begin(), targets_.end(),
                       [&](const Target& t) { return t.node == node; });
  }
  bool leads_to_target(Node* node) const {
    const auto role = roles_.find(node);
    return role != roles_.end() && role->second == Role::kNeeded;
  }
  bool restricted() const { return !options_.inputs.empty(); }
  Tensor* claim(Node& node, uint32_t output_nr);
  void release_claim(Node& node);
  Grads take(Node& node);
  void visit(Node& node);
  template <class Blame>
  static Tensor conform(Tensor grad, const OutputMeta& meta, Blame blame);

  const BackwardOptions& options_;
  SmallVector<Node*, 16> heap_;
  // Gradients of nodes with several outputs, and of nodes another thread's pass has claimed.
  std::unordered_map<Node*, std::vector<Tensor>> elsewhere_;
  std::vector<Target> targets_;
  std::unordered_map<Node*, Role> roles_;
};

namespace {

bool earlier(const Node* a, const Node* b) { return a->sequence_nr() < b->sequence_nr(); }

void accumulate(Tensor& total, Tensor grad) {
  if (!total.defined()) {
    total = std::move(grad);
  } else if (!GradMode::is_enabled() && total.use_count() == 1 &&
             total.storage().use_count() == 1 && total.is_contiguous()) {
    total.add_(grad);
  } else {
    total = total + grad;
  }
}

}  // namespace

// Brings a gradient to the shape and dtype of what it belongs to: sums what was broadcast, expands
// what a reduction's backward left small.
template <class Blame>
Tensor Engine::conform(Tensor grad, const OutputMeta& meta, Blame blame) {
  const IntArrayRef sizes = meta.sizes;
  if (!(grad.sizes() == sizes)) {
    if (is_broadcastable_to(sizes, grad.sizes())) {
      grad = grad.sum_to_size(sizes);
    } else if (is_broadcastable_to(grad.sizes(), sizes)) {
      grad = grad.expand(sizes);
    } else {
      throw ShapeError(
          str(blame(), " - got ", grad.sizes(), " but expected shape compatible with ", sizes));
    }
  }
  if (!(grad.device() == meta.device)) {
    // A number on the CPU may take part in an operation of any device.
    if (!sizes.empty()) {
      throw DeviceError(
          str(blame(), " - expected device ", meta.device, " but got ", grad.device()));
    }
    grad = grad.to(meta.device);
  }
  return grad.dtype() == meta.dtype ? grad : grad.to(meta.dtype);
}

Tensor* Engine::claim(Node& node, uint32_t output_nr) {
  if (node.num_outputs() == 1) {
    void* owner = nullptr;
    if (node.claimed_by_.compare_exchange_strong(owner, this, std::memory_order_acquire)) {
      heap_.push_back(&node);
      std::push_heap(heap_.begin(), heap_.end(), earlier);
      return &node.gathered_;
    }
    if (owner == this) return &node.gathered_;
  }
  auto [entry, is_new] = elsewhere_.try_emplace(&node, node.num_outputs());
  if (is_new) {
    heap_.push_back(&node);
    std::push_heap(heap_.begin(), heap_.end(), earlier);
  }
  return &entry->second[output_nr];
}

void Engine::release_claim(Node& node) {
  if (node.claimed_by_.load(std::memory_order_relaxed) != this) return;
  node.gathered_.reset();
  node.claimed_by_.store(nullptr, std::memory_order_release);
}

Engine::Grads Engine::take(Node& node) {
  Grads grads;
  if (node.claimed_by_.load(std::memory_order_relaxed) == this) {
    grads.push_back(std::move(node.gathered_));
    release_claim(node);
  } else {
    auto entry = elsewhere_.extract(&node);
    for (Tensor& g : entry.mapped()) grads.push_back(std::move(g));
  }
  return grads;
}

template <class Blame>
void Engine::send(const Edge& edge, Tensor grad, Blame blame) {
  Node* node = edge.node.get();
  if (!node || !grad.defined()) return;
  if (restricted() && !is_target(node) && !leads_to_target(node)) return;
  grad = conform(std::move(grad), node->output(edge.output_nr), blame);
  accumulate(*claim(*node, edge.output_nr), std::move(grad));
}

// Marks the nodes that lead from the roots to an input; the others need not run.
void Engine::find_paths(ArrayRef<Edge> roots) {
  if (!restricted()) return;
  for (size_t i = 0; i < options_.inputs.size(); ++i) {
    const Edge edge = gradient_edge(options_.inputs[i]);
    if (edge.node) targets_.push_back({edge.node.get(), edge.output_nr, i});
  }
  std::vector<Node*> stack;
  for (const Edge& root : roots) stack.push_back(root.node.get());
  while (!stack.empty()) {
    Node* node = stack.back();
    const auto [role, is_new] = roles_.try_emplace(node, Role::kVisiting);
    if (is_new) {
      for (const Edge& e : node->next_edges()) {
        if (e.node && !roles_.contains(e.node.get())) stack.push_back(e.node.get());
      }
      continue;
    }
    stack.pop_back();
    if (role->second != Role::kVisiting) continue;
    const bool needed =
        std::any_of(node->next_edges().begin(), node->next_edges().end(), [&](const Edge& e) {
          return e.node && (is_target(e.node.get()) || leads_to_target(e.node.get()));
        });
    roles_[node] = needed ? Role::kNeeded : Role::kUnneeded;
  }
}

void Engine::visit(Node& node) {
  Grads grads = take(node);
  if (const auto* hooks = node.hooks_or_null()) {
    for (const bool last : {false, true}) {
      for (size_t i = 0; i < hooks->size(); ++i) {
        const Node::OutputHook hook = (*hooks)[i];
        Tensor& g = grads[hook.output_nr];
        if (!hook.call || !g.defined() || hook.last != last) continue;
        if (Tensor replaced = hook.call(g); replaced.defined()) {
          g = conform(std::move(replaced), node.output(hook.output_nr),
                      [&] { return str("hook '", i, "' has changed the size of value"); });
        }
      }
    }
  }
  if (restricted()) {
    for (const Target& t : targets_) {
      if (t.node == &node) accumulate(options_.captured[t.input], grads[t.output_nr]);
    }
    if (!leads_to_target(&node)) return;
  }
  SmallVector<Tensor, 4> results(node.next_edges().size(), Tensor());
  if (autograd::DetectAnomalyGuard::is_enabled()) [[unlikely]]
    autograd::apply_watched(node, grads, results.data());
  else
    node.apply(grads, results.data());
  grads.clear();
  if (!options_.retain_graph) node.release_saved();
  for (size_t i = 0; i < results.size(); ++i) {
    send(node.next_edge(i), std::move(results[i]), [&] {
      return str("Function ", node.name(), " returned an invalid gradient at index ", i);
    });
  }
}

void Engine::run() {
  while (!heap_.empty()) {
    Node* node = heap_[0];
    std::pop_heap(heap_.begin(), heap_.end(), earlier);
    heap_.pop_back();
    visit(*node);
  }
}

namespace {

Tensor root_gradient(const Tensor& root, TensorList gradients, size_t i) {
  if (i < gradients.size() && gradients[i].defined()) {
    const Tensor& g = gradients[i];
    if (!(g.sizes() == root.sizes())) {
      throw ShapeError(str("Mismatch in shape: grad_output[", i, "] has a shape of ", g.sizes(),
                           " and output[", i, "] has a shape of ", root.sizes(),
                           ". The gradient's expected shape is the output's"));
    }
    return g;
  }
  TARN_CHECK(root.numel() == 1,
             "grad can be implicitly created only for scalar outputs, got shape ", root.sizes());
  return ones(root.sizes(), root.options());
}

}  // namespace

void run_backward(TensorList roots, TensorList gradients, const BackwardOptions& options) {
  if (!gradients.empty() && gradients.size() != roots.size()) {
    throw ValueError(str("got ", roots.size(), " tensors and ", gradients.size(), " gradients"));
  }
  SmallVector<Edge, 1> edges;
  for (size_t i = 0; i < roots.size(); ++i) {
    TARN_CHECK(roots[i].requires_grad(), "element ", i,
               " of tensors does not require grad and does not have a grad_fn");
    edges.push_back(gradient_edge(roots[i]));
  }
  std::vector<Tensor> accumulated;
  BackwardOptions run = options;
  if (!options.inputs.empty() && !options.captured) {
    accumulated.resize(options.inputs.size());
    run.captured = accumulated.data();
  }
  {
    Engine engine(run);
    engine.find_paths(edges);
    const AutoGradMode mode(options.create_graph);
    for (size_t i = 0; i < roots.size(); ++i)
      engine.send(edges[i], root_gradient(roots[i], gradients, i),
                  [&] { return str("invalid gradient at index ", i); });
    engine.run();
  }
  for (size_t i = 0; i < accumulated.size(); ++i) {
    if (!accumulated[i].defined()) continue;
    const AutoGradMode mode(options.create_graph);
    Tensor& total = grad_state(options.inputs[i].impl()).grad;
    total = total.defined() ? total + accumulated[i] : accumulated[i];
  }
}

}  // namespace tarn
