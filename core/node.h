// Node: one recorded operation. Its edges lead to the producers of its inputs, so the nodes form
// the graph that backward() walks. Ops record themselves with record(); users subclass Function
// instead.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>

#include "tarn/core/grad_mode.h"
#include "tarn/core/ops.h"

namespace tarn {

// Where a gradient goes: to `node`, as the gradient of its output number `output_nr`. An input that
// does not require gradients has a null edge.
struct Edge {
  IntrusivePtr<Node> node;
  uint32_t output_nr = 0;
};

// What a forward output was like; gradients that reach it are brought to this form.
struct OutputMeta {
  DimVector sizes;
  ScalarType dtype;
  Device device;
};

// A tensor kept for backward. Unpacking fails if it was changed in place since.
class SavedTensor {
 public:
  SavedTensor() = default;
  static SavedTensor input(const Tensor& t);
  // An output of the node that saves it: kept without its grad_fn, which would be a cycle.
  static SavedTensor output(const Tensor& t);
  Tensor unpack(Node& owner) const;
  bool defined() const { return tensor_.defined(); }

 private:
  Tensor tensor_;
  uint32_t version_ = 0;
  uint32_t output_nr_ = 0;
  bool is_output_ = false;
};

class Node : public RefCounted {
 public:
  Node();
  virtual ~Node();
  // Frees the node and, without recursion, whatever only it kept alive: chains may be millions
  // long.
  static void dispose(Node* node) noexcept;

  // "MulBackward0", as PyTorch prints it.
  virtual std::string name() const = 0;
  // grads has one entry an output, undefined where no gradient arrived; results one an edge, all
  // undefined on entry. Runs with GradMode on only under create_graph.
  virtual void apply(TensorList grads, Tensor* results) = 0;
  // Called after apply unless the graph is retained.
  virtual void release_saved();

  ArrayRef<Edge> next_edges() const { return edges_; }
  const Edge& next_edge(size_t i) const { return edges_[i]; }
  size_t num_outputs() const { return outputs_.size(); }
  const OutputMeta& output(size_t i) const { return outputs_[i]; }
  // Rises with every node made, so a node's number exceeds those of all its inputs.
  uint64_t sequence_nr() const { return sequence_; }

  void add_edge(Edge edge) { edges_.push_back(std::move(edge)); }
  void add_input(const Tensor& t);
  void save(SavedTensor saved) { saved_.push_back(std::move(saved)); }
  // The i-th saved tensor. Throws if it was freed by an earlier backward() or changed in place.
  Tensor saved(size_t i);
  bool was_released() const { return released_; }
  // Where the node was made, if that was in anomaly mode, else null.
  const std::string* trace() const { return trace_.get(); }

  // Hooks on the gradient of an output, in the order they were added; removed ones are empty.
  using Hook = std::function<Tensor(const Tensor&)>;
  struct OutputHook {
    uint32_t output_nr;
    Hook call;
    bool last = false;  // called after the others: what retain_grad() keeps
  };
  std::vector<OutputHook>& hooks();
  const std::vector<OutputHook>* hooks_or_null() const { return hooks_.get(); }
  // Used by set_history; appends an output.
  uint32_t add_output(const TensorImpl& t);
  void set_output(uint32_t nr, const TensorImpl& t);

 protected:
  // Throws if backward() has freed what was saved.
  void check_not_released() const;

  SmallVector<Edge, 2> edges_;
  SmallVector<SavedTensor, 2> saved_;
  SmallVector<OutputMeta, 1> outputs_;
  uint64_t sequence_;
  bool released_ = false;

 private:
  friend class Engine;
  std::unique_ptr<std::vector<OutputHook>> hooks_;
  std::unique_ptr<std::string> trace_;
  // Gradients gathered by the backward pass that has claimed this node (core/engine.cpp).
  std::atomic<void*> claimed_by_{nullptr};
  Tensor gathered_;
};

// What a recorded op's backward sees.
class Backward {
 public:
  Backward(Node& node, TensorList grads, Tensor* results)
      : node_(node), grads_(grads), results_(results) {}
  // The gradient of the output.
  const Tensor& grad() const { return grads_[0]; }
  // Whether input i wants a gradient.
  bool needs(size_t i) const { return static_cast<bool>(node_.next_edge(i).node); }
  // The gradient of input i, to be assigned.
  Tensor& operator[](size_t i) { return results_[i]; }
  Tensor saved(size_t i) const { return node_.saved(i); }

 private:
  Node& node_;
  TensorList grads_;
  Tensor* results_;
};

// PyTorch's name for the node of an op: node_name("log_sigmoid", 0) is "LogSigmoidBackward0".
std::string node_name(std::string_view op, int variant);

// True when an op on these tensors has to be recorded.
bool needs_grad(std::initializer_list<const Tensor*> inputs);
bool needs_grad(TensorList inputs);
// Makes `node` the producer of `out`, as its next output.
void set_history(const Tensor& out, IntrusivePtr<Node> node);
// Before an in-place write to t: throws where the write cannot be recorded (t is a leaf that
// requires gradients, or a view made without recording), and for memory in which one element stands
// for several.
void check_inplace(const char* op, const Tensor& t, bool others_require_grad = false);
// After an in-place write that `node` describes (null: not recorded): counts the version and makes
// node the producer of t, through its base if t is a view. The node's first edge must be t's.
void inplace_history(const Tensor& t, IntrusivePtr<Node> node);
// The edge to t's producer, or to its gradient accumulator if it is a leaf.
Edge gradient_edge(const Tensor& t);
// A new handle on the same bytes with another geometry, sharing versions; a differentiable view if
// `is_view` (the base is tracked), else detached.
Tensor alias(const Tensor& t, IntArrayRef sizes, IntArrayRef strides, int64_t offset, bool is_view);

// The gradient of a tensor for the gradient g of a strided view of it: g's elements added up where
// they came from. Geometries as Tensor::as_strided takes them.
Tensor as_strided_backward(const Tensor& g, IntArrayRef view_sizes, IntArrayRef view_strides,
                           int64_t view_offset, IntArrayRef sizes, IntArrayRef strides,
                           int64_t offset);

template <class F>
class RecordedNode final : public Node {
 public:
  RecordedNode(const char* name, F f) : name_(name), f_(std::move(f)) {}
  std::string name() const override { return name_; }
  void apply(TensorList grads, Tensor* results) override {
    Backward context(*this, grads, results);
    if constexpr (std::is_invocable_v<F, const Tensor&, Backward&>) {
      results[0] = f_(grads[0], context);
    } else {
      f_(context);
    }
  }

 private:
  const char* name_;
  F f_;
};

// A node with edges to `inputs`. f is `Tensor f(const Tensor& grad, Backward&)` for one
// input or `void f(Backward&)`, which assigns b[i] for every input i that b.needs(i).
template <class F>
IntrusivePtr<Node> make_node(const char* name, std::initializer_list<const Tensor*> inputs,
                             std::initializer_list<SavedTensor> saved, F f) {
  auto node = IntrusivePtr<Node>::adopt(new RecordedNode<F>(name, std::move(f)));
  for (const Tensor* t : inputs) node->add_input(*t);
  for (const SavedTensor& s : saved) node->save(s);
  return node;
}

// Records `out` as the result of an op on `inputs`. Call only if needs_grad(inputs).
template <class F>
void record(const Tensor& out, const char* name, std::initializer_list<const Tensor*> inputs,
            std::initializer_list<SavedTensor> saved, F f) {
  set_history(out, make_node(name, inputs, saved, std::move(f)));
}

}  // namespace tarn
