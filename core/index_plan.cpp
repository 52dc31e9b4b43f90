#include "tarn/core/index_plan.h"

#include <algorithm>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/shape.h"

namespace tarn::detail {
namespace {

constexpr int kMaxIndices = 8;  // entries of IndexSpec

// Views of self and values as the kernels want them. Refers to `plan`.
struct KernelCall {
  KernelCall(const IndexPlan& plan, const Tensor& self, const Tensor& values_tensor)
      : strides(plan.sizes.size(), 0) {
    for (size_t d = 0; d < strides.size(); ++d) {
      if (plan.source[d] >= 0) strides[d] = self.strides()[static_cast<size_t>(plan.source[d])];
    }
    self_view = {self.data_ptr(), plan.sizes.data(), strides.data(),
                 static_cast<int32_t>(strides.size()), self.dtype()};
    values = values_tensor.impl().view();
    spec.count = static_cast<int>(plan.dims.size());
    spec.from_end = plan.from_end;
    for (size_t k = 0; k < plan.dims.size(); ++k) {
      const auto dim = static_cast<size_t>(plan.dims[k]);
      spec.index[k] = plan.indices[k].impl().view();
      spec.size[k] = self.sizes()[dim];
      spec.stride[k] = self.strides()[dim];
      spec.dim[k] = plan.dims[k];
    }
  }
  DimVector strides;
  View self_view, values;
  IndexSpec spec;
};

void scatter(const IndexPlan& plan, const Tensor& self, const Tensor& values, ScatterMode mode) {
  if (values.numel() == 0) return;
  const KernelTable& table = kernels(self.device());
  if (!table.scatter) missing_kernel("scatter", table);
  const KernelCall call(plan, self, values);
  table.scatter({call.self_view, call.values, call.spec, mode});
}

// A plan inside a node, which keeps the index tensors and notices writes to them.
class SavedPlan {
 public:
  explicit SavedPlan(IndexPlan plan) : plan_(std::move(plan)) { plan_.indices.clear(); }
  IndexPlan restore(Backward& b) const {
    IndexPlan plan = plan_;
    for (size_t i = 0; i < plan.dims.size(); ++i) plan.indices.push_back(b.saved(i));
    return plan;
  }

 private:
  IndexPlan plan_;
};

template <class F>
IntrusivePtr<Node> plan_node(const char* name, std::initializer_list<const Tensor*> inputs,
                             const IndexPlan& plan, F f) {
  auto node = make_node(name, inputs, {}, std::move(f));
  for (const Tensor& index : plan.indices) node->save(SavedTensor::input(index));
  return node;
}

IntrusivePtr<Node> put_node(const char* name, const Tensor& self, const IndexPlan& plan,
                            const Tensor& values, ScatterMode mode) {
  return plan_node(name, {&self, &values}, plan, [saved = SavedPlan(plan), mode](Backward& b) {
    const IndexPlan plan = saved.restore(b);
    if (b.needs(0)) {
      b[0] = b.grad();
      if (mode == ScatterMode::kAssign) {
        b[0] = b[0].clone();
        put_("index_put_", "IndexPutBackward0", b[0], plan,
             zeros({}, b[0].options()).expand(plan.sizes), mode);
      }
    }
    if (b.needs(1)) b[1] = take("IndexBackward0", b.grad(), plan);
  });
}

// Indexes self's dimension `dim` with `index`, which is broadcast to `count` positions.
void add_index(IndexPlan& plan, int64_t dim, const Tensor& index, int64_t count) {
  if (plan.self_sizes[static_cast<size_t>(dim)] == 0 && count > 0) {
    throw IndexError(str("index is out of bounds for dimension with size 0: dimension ", dim,
                         " of ", IntArrayRef(plan.self_sizes)));
  }
  plan.dims.push_back(dim);
  plan.indices.push_back(index);
}

bool is_mask(const Tensor& t) { return t.dtype() == kBool || t.dtype() == kByte; }

bool broadcast_together(IntArrayRef a, IntArrayRef b) {
  for (size_t i = 1; i <= std::min(a.size(), b.size()); ++i) {
    const int64_t m = a[a.size() - i], n = b[b.size() - i];
    if (m != n && m != 1 && n != 1) return false;
  }
  return true;
}

// Positions in self's dimensions `dim`, `dim` + 1, ... at which `mask` is true.
void expand_mask(const Tensor& self, size_t dim, const Tensor& mask, std::vector<Tensor>& entries) {
  for (size_t d = 0; d < mask.sizes().size(); ++d) {
    if (dim + d >= self.sizes().size() || mask.sizes()[d] != self.sizes()[dim + d]) {
      throw IndexError(str("The shape of the mask ", mask.sizes(), " at index ", d,
                           " does not match the shape of the indexed tensor ", self.sizes(),
                           " at index ", dim + d));
    }
  }
  if (mask.dtype() == kByte) {
    warn(
        "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
        "instead.");
  }
  if (!mask.is_cpu()) check_same_device("index", self.device(), mask.device());
  const Tensor positions = mask.to(self.device(), kBool).nonzero();
  for (size_t d = 0; d < mask.sizes().size(); ++d)
    entries[dim + d] = positions.select(1, static_cast<int64_t>(d));
}

}  // namespace

Tensor as_index(const char* op, const Tensor& index, Device device) {
  if (!is_integer(index.dtype())) {
    throw TypeError(str("[", op,
                        "] tensors used as indices must be long, int, byte or bool tensors, got ",
                        index.dtype()));
  }
  if (!index.is_cpu()) check_same_device(op, device, index.device());
  return index.to(device, kLong);
}

IndexPlan plan_along(const Tensor& self, int64_t dim, const Tensor& index) {
  IndexPlan plan{
      .sizes = index.sizes(), .source = {}, .self_sizes = self.sizes(), .dims = {}, .indices = {}};
  for (int64_t d = 0; d < index.dim(); ++d) plan.source.push_back(d == dim ? -1 : d);
  add_index(plan, dim, index, index.numel());
  return plan;
}

IndexPlan plan_select(const Tensor& self, int64_t dim, const Tensor& index) {
  IndexPlan plan{
      .sizes = self.sizes(), .source = {}, .self_sizes = self.sizes(), .dims = {}, .indices = {}};
  plan.sizes[static_cast<size_t>(dim)] = index.numel();
  DimVector strides(plan.sizes.size(), 0);
  strides[static_cast<size_t>(dim)] = index.dim() > 0 ? index.stride(0) : 1;
  for (int64_t d = 0; d < self.dim(); ++d) plan.source.push_back(d == dim ? -1 : d);
  add_index(plan, dim, index, index.numel());
  plan.indices[0] = alias(index, plan.sizes, strides, index.storage_offset(), false);
  return plan;
}

IndexPlan plan_indices(const char* op, const Tensor& self, const std::vector<Tensor>& given) {
  std::vector<Tensor> entries = given;
  entries.resize(self.sizes().size());
  for (size_t d = 0; d < given.size(); ++d) {
    if (!given[d].defined()) continue;
    if (is_mask(given[d]))
      expand_mask(self, d, given[d], entries);
    else
      entries[d] = as_index(op, given[d], self.device());
  }

  IndexPlan plan{.sizes = {},
                 .source = {},
                 .self_sizes = self.sizes(),
                 .dims = {},
                 .indices = {},
                 .from_end = true};
  DimVector common;
  for (size_t d = 0; d < entries.size(); ++d) {
    if (!entries[d].defined()) continue;
    const IntArrayRef sizes = entries[d].sizes();
    if (!broadcast_together(sizes, common)) {
      std::string shapes;
      for (const Tensor& t : entries) {
        if (t.defined()) shapes += str(shapes.empty() ? "" : ", ", t.sizes());
      }
      throw IndexError(str(
          "shape mismatch: indexing tensors could not be broadcast together with shapes ", shapes));
    }
    common = broadcast_shapes(op, common, sizes);
  }
  for (size_t d = 0; d < entries.size(); ++d) {
    if (entries[d].defined())
      add_index(plan, static_cast<int64_t>(d), entries[d], numel_of(common));
  }
  if (plan.dims.size() > kMaxIndices) {
    throw NotImplementedError(str("[", op, "] at most ", kMaxIndices,
                                  " dimensions can be indexed by tensors at once, got ",
                                  plan.dims.size()));
  }

  const size_t count = plan.dims.size();
  const bool neighbours = plan.dims[count - 1] - plan.dims[0] + 1 == static_cast<int64_t>(count);
  const size_t place = neighbours ? static_cast<size_t>(plan.dims[0]) : 0;
  for (size_t d = 0; d < entries.size(); ++d) {
    if (entries[d].defined()) continue;
    plan.sizes.push_back(self.sizes()[d]);
    plan.source.push_back(static_cast<int64_t>(d));
  }
  for (size_t i = 0; i < common.size(); ++i) {
    plan.sizes.insert(place + i, common[i]);
    plan.source.insert(place + i, -1);
  }
  for (Tensor& index : plan.indices) {
    DimVector strides(plan.sizes.size(), 0);
    broadcast_strides(index.sizes(), index.strides(), common, strides.data() + place);
    index = alias(index, plan.sizes, strides, index.storage_offset(), false);
  }
  return plan;
}

Tensor take(const char* node_name, const Tensor& self, const IndexPlan& plan) {
  const Tensor out = make_empty(plan.sizes, self.dtype(), self.device());
  if (out.numel() > 0) {
    const KernelTable& table = kernels(self.device());
    if (!table.gather) missing_kernel("gather", table);
    const KernelCall call(plan, self, out);
    table.gather({call.values, call.self_view, call.spec});
  }
  if (needs_grad({&self})) {
    set_history(out, plan_node(node_name, {&self}, plan,
                               [saved = SavedPlan(plan)](const Tensor& g, Backward& b) {
                                 return put_on_zeros(saved.restore(b), g);
                               }));
  }
  return out;
}

Tensor put_on_zeros(const IndexPlan& plan, const Tensor& values) {
  const Tensor out = zeros(plan.self_sizes, values.options());
  put_("index_put_", "IndexPutBackward0", out, plan, values, ScatterMode::kAdd);
  return out;
}

void put_(const char* op, const char* node_name, const Tensor& self, const IndexPlan& plan,
          const Tensor& values, ScatterMode mode) {
  check_inplace(op, self, needs_grad({&values}));
  // What is read must not change while self is written to.
  const auto apart = [&](const Tensor& t) {
    return t.storage().is_same(self.storage()) ? t.detach().clone() : t;
  };
  IndexPlan reading = plan;
  for (Tensor& index : reading.indices) index = apart(index);
  IntrusivePtr<Node> node;
  if (needs_grad({&self, &values})) node = put_node(node_name, self, reading, values, mode);
  scatter(reading, self, apart(values), mode);
  inplace_history(self, std::move(node));
}

}  // namespace tarn::detail
