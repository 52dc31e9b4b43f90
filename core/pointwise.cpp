// One routine for every pointwise op: promotion, broadcasting, the kernel, the recorded gradient.
#include <cmath>
#include <cstring>

#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

constexpr int kMaxInputs = 3;
constexpr size_t kMaxParams = 40;
constexpr int kNoKernel = -1;

// What the generic code needs to know of an op, drawn from its struct.
struct OpInfo {
  const char* name;
  op::Rule rule;
  int arity;
  bool differentiable;
  // For each input: the fused backward's number in op::PointwiseKernels, and what it reads.
  int kernel[kMaxInputs];
  unsigned saves[kMaxInputs];
  // The gradient of input i as tensor operations; the tensors that backward does not read are
  // undefined.
  Tensor (*backward)(int i, const void* params, const Tensor& g, const Tensor* saved);
};

// Evaluates the formula with tensors. A result may come out as a number: 0 for an unselected
// branch.
template <class Op, int I>
Tensor tensor_gradient(const void* params, const Tensor& g, const Tensor* t) {
  return op::gradient<I>(*static_cast<const Op*>(params), g, t[0], t[1], t[2], t[3]);
}

template <class Op>
Tensor backward_of(int i, const void* params, const Tensor& g, const Tensor* t) {
  if constexpr (Op::kArity > 2) {
    if (i == 2) return tensor_gradient<Op, 2>(params, g, t);
  }
  if constexpr (Op::kArity > 1) {
    if (i == 1) return tensor_gradient<Op, 1>(params, g, t);
  }
  return tensor_gradient<Op, 0>(params, g, t);
}

template <class Op>
constexpr OpInfo info_of() {
  static_assert(sizeof(Op) <= kMaxParams && std::is_trivially_copyable_v<Op>);
  OpInfo info{
      Op::kName, Op::kRule, Op::kArity, Op::kDifferentiable, {kNoKernel, kNoKernel, kNoKernel},
      {},        nullptr};
  if constexpr (Op::kDifferentiable) {
    info.backward = &backward_of<Op>;
    for (int i = 0; i < Op::kArity; ++i) info.saves[i] = Op::kSaves[i];
    if constexpr (!Op::kTensorBackward) {
      info.kernel[0] = index_of<op::Gradient<Op, 0>, op::PointwiseKernels>;
      if constexpr (Op::kArity > 1)
        info.kernel[1] = index_of<op::Gradient<Op, 1>, op::PointwiseKernels>;
      if constexpr (Op::kArity > 2)
        info.kernel[2] = index_of<op::Gradient<Op, 2>, op::PointwiseKernels>;
    }
  }
  return info;
}

template <class... Ops>
const OpInfo& info_of(int op, List<Ops...>) {
  static constexpr OpInfo kInfos[] = {info_of<Ops>()...};
  return kInfos[op];
}

// --- Dtypes -------------------------------------------------------------------------------------

// PyTorch's three classes: tensors with dimensions decide, then 0-dim tensors, then numbers; a
// lower class matters only if its kind (bool < integer < floating) is higher.
struct Promotion {
  ScalarType dimensioned = ScalarType::Undefined, zero_dim = ScalarType::Undefined,
             number = ScalarType::Undefined;

  static void join(ScalarType& a, ScalarType b) {
    a = a == ScalarType::Undefined ? b : promote_types(a, b);
  }
  void add(const Operand& operand) {
    if (const Tensor* t = operand.tensor()) {
      join(t->dim() > 0 ? dimensioned : zero_dim, t->dtype());
    } else {
      const ScalarType kind = operand.scalar().type();
      join(number, kind == kDouble ? get_default_dtype() : kind);
    }
  }
  static int kind(ScalarType t) {
    if (t == ScalarType::Undefined) return -1;
    return is_floating_point(t) ? 2 : t == kBool ? 0 : 1;
  }
  static ScalarType combine(ScalarType high, ScalarType low) {
    if (high == ScalarType::Undefined) return low;
    return kind(low) > kind(high) ? promote_types(high, low) : high;
  }
  ScalarType result() const { return combine(dimensioned, combine(zero_dim, number)); }
};

ScalarType common_type(const Operand* in, int first, int count) {
  const Tensor* lead = in[first].tensor();
  bool uniform = lead != nullptr;
  for (int i = first + 1; i < count && uniform; ++i) {
    const Tensor* t = in[i].tensor();
    uniform = t ? t->dtype() == lead->dtype()
                : Promotion::kind(in[i].scalar().type()) <= Promotion::kind(lead->dtype());
  }
  if (uniform) return lead->dtype();
  Promotion promotion;
  for (int i = first; i < count; ++i) promotion.add(in[i]);
  return promotion.result();
}

struct Types {
  ScalarType result, compute;
  ScalarType common;  // of the operands
};

Types types_of(const OpInfo& info, const Operand* in) {
  const ScalarType common = common_type(in, info.rule == op::Rule::kSelect ? 1 : 0, info.arity);
  switch (info.rule) {
    case op::Rule::kSame:
    case op::Rule::kSelect:
      break;
    case op::Rule::kNumber:
      if (common == kBool) {
        throw TypeError(
            str("[", info.name,
                "] bool tensors are not supported. HINT: use logical_not() to invert a mask, "
                "or convert with to(kFloat)"));
      }
      break;
    case op::Rule::kFloating: {
      const ScalarType floating = is_floating_point(common) ? common : get_default_dtype();
      return {floating, compute_type(floating), floating};
    }
    case op::Rule::kBool:
      return {kBool, compute_type(common), common};
    case op::Rule::kInteger:
      if (is_floating_point(common)) {
        throw TypeError(str("[", info.name, "] not implemented for '", common,
                            "': integers or bool are needed"));
      }
      break;
  }
  return {common, compute_type(common), common};
}

// The number an op reads for `s`: integers take part in the operands' dtype, and so wrap around;
// what is compared is rounded to it as well.
[[gnu::noinline]] Scalar in_type(const Scalar& s, op::Rule rule, ScalarType common) {
  if (is_floating_point(common)) {
    return rule == op::Rule::kBool ? visit(common, [&]<class T>(T) { return Scalar(s.to<T>()); })
                                   : s;
  }
  if (common == kBool || common == kLong) return s;
  return visit(
      common, [&]<class T>(T) { return Scalar(static_cast<int64_t>(static_cast<T>(s.toLong()))); });
}

// Not inlined, to keep it out of the way of contiguous operands.
[[gnu::noinline]] Tensor result_like(IntArrayRef sizes, ScalarType dtype, Device device,
                                     const Operand* in, int count) {
  SmallVector<Tensor, kMaxInputs> tensors;
  for (int i = 0; i < count; ++i) {
    if (in[i].tensor()) tensors.push_back(*in[i].tensor());
  }
  return detail::make_result(sizes, dtype, device, tensors);
}

// --- Running the kernel -------------------------------------------------------------------------

// The views of one kernel call, with what they point to.
class Call {
 public:
  Call(const OpInfo& info, int kernel, const void* params, int inputs, const Types& types)
      : info_(info), common_(types.common) {
    args_.op = kernel;
    args_.num_inputs = inputs;
    args_.compute = types.compute;
    args_.params = params;
  }

  void set_output(const Tensor& out) {
    const TensorImpl& impl = out.impl();
    on_device_ = impl.storage.device().is_cuda();
    args_.out = impl.view();
    args_.flat = impl.contiguous && impl.dtype == args_.compute;
  }
  void set_input(int i, const Tensor& t) {
    const TensorImpl& impl = t.impl();
    args_.in[i] = impl.view();
    if (on_device_ && impl.storage.device().is_cpu()) [[unlikely]]
      args_.on_host |= 1u << i;
    const View& out = args_.out;
    if (impl.ndim == out.ndim && std::equal(impl.dims, impl.dims + impl.ndim, out.sizes)) {
      args_.flat &= impl.contiguous && impl.dtype == args_.compute;
      return;
    }
    args_.flat = false;
    const IntArrayRef to(out.sizes, static_cast<size_t>(out.ndim));
    int64_t* strides = borrow_strides(i, out.ndim);
    broadcast_strides(impl.sizes(), impl.strides(), to, strides);
    args_.in[i] = {impl.data(), out.sizes, strides, out.ndim, impl.dtype};
  }
  void set_input(int i, const Operand& operand) {
    if (operand.tensor()) return set_input(i, *operand.tensor());
    args_.flat = false;
    args_.on_host |= 1u << i;
    const Scalar s = in_type(operand.scalar(), info_.rule, common_);
    numbers_[i] =
        s.isFloatingPoint() ? Number{.floating = s.toDouble()} : Number{.integral = s.toLong()};
    const View& out = args_.out;
    int64_t* strides = borrow_strides(i, out.ndim);
    std::fill_n(strides, out.ndim, int64_t{0});
    args_.in[i] = {&numbers_[i], out.sizes, strides, out.ndim,
                   s.isFloatingPoint() ? kDouble : kLong};
  }
  void run(const KernelTable& table) const {
    if (!table.pointwise) missing_kernel(info_.name, table);
    table.pointwise(args_);
  }

 private:
  union Number {
    double floating;
    int64_t integral;
  };
  int64_t* borrow_strides(int i, int ndim) {
    if (ndim <= kInline) return strides_[i];
    spilled_[i].resize(static_cast<size_t>(ndim), 0);
    return spilled_[i].data();
  }
  static constexpr int kInline = 6;
  const OpInfo& info_;
  const ScalarType common_;
  bool on_device_ = false;
  PointwiseArgs args_;
  Number numbers_[4];
  int64_t strides_[4][kInline];
  std::vector<int64_t> spilled_[4];
};

// The device of the operands; 0-dim CPU tensors go with any.
Device device_of(const char* op, const Operand* in, int count) {
  const Tensor* decides = nullptr;
  for (int i = 0; i < count; ++i) {
    const Tensor* t = in[i].tensor();
    if (!t) continue;
    if (!decides || (decides->dim() == 0 && decides->is_cpu())) decides = t;
    if (t->device() == decides->device() || (t->dim() == 0 && t->is_cpu())) continue;
    check_same_device(op, decides->device(), t->device());
  }
  return decides->device();
}

// --- Gradient -----------------------------------------------------------------------------------

class PointwiseNode final : public Node {
 public:
  PointwiseNode(const OpInfo& info, const void* params, size_t params_size) : info_(info) {
    std::memcpy(params_, params, params_size);
  }
  std::string name() const override;

  // An edge for each operand, without numbers at the end and the condition of a selection.
  void add_edges(const Operand* in) {
    int count = info_.arity;
    while (count > 1 && !in[count - 1].tensor()) --count;
    first_ = info_.rule == op::Rule::kSelect || (!in[0].tensor() && is_op<op::Pow>()) ? 1 : 0;
    for (int i = first_; i < count; ++i) {
      add_edge(in[i].tensor() ? gradient_edge(*in[i].tensor()) : Edge{});
    }
  }
  // Keeps what the backward of the inputs that need one will read, except the output. What shares
  // the bytes of `overwritten` (may be null) is kept as a copy.
  void save_inputs(const Operand* in, const Tensor* overwritten) {
    for (int i = 0; i < info_.arity; ++i) {
      if (wants(i)) mask_ |= info_.saves[i];
    }
    for (int i = 0; i < info_.arity; ++i) {
      if (!(mask_ & (1u << i))) continue;
      const Tensor* t = in[i].tensor();
      if (!t)
        save(SavedTensor::input(scalar_tensor(in[i].scalar(), in[i].scalar().type())));
      else if (overwritten && t->storage().is_same(overwritten->storage()))
        save(SavedTensor::input(t->clone()));
      else
        save(SavedTensor::input(*t));
    }
  }
  void save_output(const Tensor& out) {
    if (mask_ & op::kY) save(SavedTensor::output(out));
  }

  void apply(TensorList grads, Tensor* results) override {
    const Tensor& g = grads[0];
    if (!g.defined()) return;
    Tensor t[4];
    size_t next = 0;
    for (int i = 0; i < 4; ++i) {
      if (mask_ & (1u << i)) t[i] = saved(next++);
    }
    for (int i = 0; i < info_.arity; ++i) {
      if (!wants(i)) continue;
      const bool fused = info_.kernel[i] != kNoKernel && !GradMode::is_enabled();
      results[i - first_] = fused ? run_kernel(i, g, t) : info_.backward(i, params_, g, t);
    }
  }

 private:
  Tensor run_kernel(int i, const Tensor& g, const Tensor* t) const {
    const Tensor out = g.is_contiguous() ? detail::make_empty(g.sizes(), g.dtype(), g.device())
                                         : detail::make_result(g.sizes(), g.dtype(), g.device(), g);
    Call call(info_, info_.kernel[i], params_, 1 + std::popcount(info_.saves[i]),
              {g.dtype(), compute_type(g.dtype()), g.dtype()});
    call.set_output(out);
    call.set_input(0, g);
    for (int k = 0, next = 1; k < 4; ++k) {
      if (info_.saves[i] & (1u << k)) call.set_input(next++, t[k]);
    }
    call.run(kernels(g.device()));
    return out;
  }

  // Whether input i wants a gradient.
  bool wants(int i) const {
    const auto edge = static_cast<size_t>(i - first_);
    return i >= first_ && edge < edges_.size() && edges_[edge].node;
  }
  template <class Op>
  bool is_op() const {
    return std::string_view(info_.name) == Op::kName;
  }

  const OpInfo& info_;
  unsigned mask_ = 0;
  int first_ = 0;  // the input of the first edge
  alignas(8) unsigned char params_[kMaxParams];
};
// PyTorch has several functions, each with a node of its own, where Tarn has one op.
std::string PointwiseNode::name() const {
  const bool with_number = static_cast<int>(edges_.size()) + first_ < info_.arity;
  if (is_op<op::Add>()) {
    op::Add add;
    std::memcpy(&add, params_, sizeof add);
    return node_name(add.alpha.floating < 0 ? "sub" : "add", with_number);
  }
  if (is_op<op::Clamp>()) {
    op::Clamp clamp;
    std::memcpy(&clamp, params_, sizeof clamp);
    if (std::isinf(clamp.max.floating)) return node_name("clamp_min", 0);
    return std::isinf(clamp.min.floating) ? node_name("clamp_max", 0) : node_name("clamp", 1);
  }
  if (is_op<op::Square>()) return node_name("pow", 0);
  if (is_op<op::Pow>()) return node_name("pow", first_ == 1 ? 2 : with_number ? 0 : 1);
  if (is_op<op::Remainder>() || is_op<op::Fmod>() || is_op<op::Lerp>())
    return node_name(info_.name, with_number ? 0 : 1);
  return node_name(info_.name, info_.arity == 2 && with_number ? 1 : 0);
}

static_assert(op::kA == 1 && op::kB == 2 && op::kC == 4 && op::kY == 8,
              "bit i of the mask is tensor i");

bool wants_gradient(const OpInfo& info, const Operand* in) {
  if (!info.differentiable || !GradMode::is_enabled()) return false;
  for (int i = 0; i < info.arity; ++i) {
    if (in[i].tensor() && in[i].tensor()->requires_grad()) return true;
  }
  return false;
}

IntrusivePtr<PointwiseNode> make_pointwise_node(const OpInfo& info, const void* params, size_t size,
                                                const Operand* in, const Tensor* overwritten) {
  auto node = IntrusivePtr<PointwiseNode>::adopt(new PointwiseNode(info, params, size));
  node->add_edges(in);
  node->save_inputs(in, overwritten);
  return node;
}

// Records `out` as the result of the op.
void record_result(const OpInfo& info, const void* params, size_t size, const Operand* in,
                   const Tensor& out) {
  IntrusivePtr<PointwiseNode> node = make_pointwise_node(info, params, size, in, nullptr);
  PointwiseNode* const recorded = node.get();
  set_history(out, std::move(node));
  recorded->save_output(out);
}

}  // namespace

ScalarType result_type(const Operand& a, const Operand& b) {
  const Operand in[] = {a, b};
  return common_type(in, 0, 2);
}

namespace detail {

Tensor pointwise(int op, const void* params, size_t params_size, const Operand* in) {
  const OpInfo& info = info_of(op, op::PointwiseOps{});
  const Types types = types_of(info, in);
  const Device device = device_of(info.name, in, info.arity);

  // The common case is one shape; only others pay for a broadcast shape.
  const Tensor* first = nullptr;
  bool contiguous = true;
  DimVector broadcast;
  IntArrayRef sizes;
  for (int i = 0; i < info.arity; ++i) {
    const Tensor* t = in[i].tensor();
    if (!t) continue;
    contiguous &= t->is_contiguous();
    if (!first) {
      first = t;
      sizes = t->sizes();
    } else if (!(t->sizes() == sizes)) {
      broadcast = broadcast_shapes(info.name, sizes, t->sizes());
      sizes = broadcast;
    }
  }
  Tensor out = contiguous ? make_empty(sizes, types.result, device)
                          : result_like(sizes, types.result, device, in, info.arity);
  Call call(info, op, params, info.arity, types);
  call.set_output(out);
  for (int i = 0; i < info.arity; ++i) call.set_input(i, in[i]);
  call.run(kernels(device));

  if (wants_gradient(info, in) && out.is_floating_point())
    record_result(info, params, params_size, in, out);
  return out;
}

void record_pointwise(const Tensor& out, int op, const void* params, size_t params_size) {
  const Operand in[] = {out};
  record_result(info_of(op, op::PointwiseOps{}), params, params_size, in, out);
}

void pointwise_into(const Tensor& self, int op, const void* params, size_t params_size,
                    const Operand* in) {
  const OpInfo& info = info_of(op, op::PointwiseOps{});
  const Types types = types_of(info, in);
  if (Promotion::kind(types.result) > Promotion::kind(self.dtype())) {
    throw TypeError(str("[", info.name, "_] result type ", types.result,
                        " can't be cast to the desired output type ", self.dtype()));
  }
  const Device device = device_of(info.name, in, info.arity);
  check_same_device(info.name, self.device(), device);
  const bool recorded = wants_gradient(info, in);
  check_inplace(info.name, self, recorded);
  for (int i = 0; i < info.arity; ++i) {
    if (in[i].tensor() && !is_broadcastable_to(in[i].tensor()->sizes(), self.sizes())) {
      throw ShapeError(str("[", info.name, "_] output with shape ", self.sizes(),
                           " doesn't match the broadcast shape of ", in[i].tensor()->sizes()));
    }
  }
  IntrusivePtr<PointwiseNode> node;
  if (recorded) node = make_pointwise_node(info, params, params_size, in, &self);

  Call call(info, op, params, info.arity, types);
  call.set_output(self);
  Tensor copies[kMaxInputs];
  for (int i = 0; i < info.arity; ++i) {
    const Tensor* t = in[i].tensor();
    // Another view of the bytes being written is read from a copy.
    const bool same_view =
        t && (t->is_same(self) || (t->data_ptr() == self.data_ptr() && t->sizes() == self.sizes() &&
                                   t->strides() == self.strides() && t->dtype() == self.dtype()));
    if (t && t->storage().is_same(self.storage()) && !same_view) {
      copies[i] = t->detach().clone();
      call.set_input(i, copies[i]);
    } else {
      call.set_input(i, in[i]);
    }
  }
  call.run(kernels(device));
  PointwiseNode* const kept = node.get();
  inplace_history(self, std::move(node));
  if (kept) kept->save_output(self);
}

}  // namespace detail
}  // namespace tarn
