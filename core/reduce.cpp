// One routine for every reduction: result dtype, shapes, the kernel, the recorded gradient.
#include <array>
#include <cstring>

#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

constexpr size_t kMaxParams = 16;

// The reduced dimensions, as a backward formula needs them.
struct ReduceContext {
  int64_t count;
  DimVector dims;
  Tensor sum(const Tensor& t) const { return t.sum(dims, /*keepdim=*/true); }
};

using ReduceBackward = Tensor (*)(const void* params, const Tensor& g, const Tensor& x,
                                  const Tensor& y, const ReduceContext& context);

struct ReduceInfo {
  const char* name;
  ReduceTraits traits;
  ReduceBackward backward;
};

template <class Op>
Tensor backward_of(const void* params, const Tensor& g, const Tensor& x, const Tensor& y,
                   const ReduceContext& context) {
  return static_cast<const Op*>(params)->backward(g, x, y, context);
}

// The product of all elements before and behind each one: right also where elements are 0.
template <>
Tensor backward_of<op::Prod>(const void*, const Tensor& g, const Tensor& x, const Tensor&,
                             const ReduceContext& context) {
  const bool all = context.dims.size() != 1;
  const int64_t dim = all ? 0 : context.dims[0];
  const Tensor line = all ? x.reshape({-1}) : x;
  const int64_t length = line.size(dim);
  if (length == 0) return zero_of(x);
  const Tensor one = ones_like(line.narrow(dim, 0, 1));
  const Tensor before = cat({one, line.narrow(dim, 0, length - 1)}, dim).cumprod(dim);
  const Tensor behind =
      cat({one, line.flip(dim).narrow(dim, 0, length - 1)}, dim).cumprod(dim).flip(dim);
  const Tensor others = before * behind;
  return g * (all ? others.reshape(x.sizes()) : others);
}

template <class Op>
constexpr ReduceInfo info_of() {
  static_assert(sizeof(Op) <= kMaxParams && std::is_trivially_copyable_v<Op>);
  ReduceInfo info{Op::kName, Op::kTraits, nullptr};
  if constexpr (Op::kTraits.differentiable || std::is_same_v<Op, op::Prod>)
    info.backward = &backward_of<Op>;
  return info;
}

template <class... Ops>
const ReduceInfo& info_of(int op, List<Ops...>) {
  static constexpr ReduceInfo kInfos[] = {info_of<Ops>()...};
  return kInfos[op];
}

// PyTorch's name: its functions over all elements and over dimensions have nodes of their own.
const char* node_name_of(int op, bool over_dims) {
  static const auto kNames = [] {
    std::vector<std::array<std::string, 2>> names;
    for (int i = 0; i < op::ReduceOps::size; ++i) {
      const std::string_view name = info_of(i, op::ReduceOps{}).name;
      if (name == "max" || name == "min")
        names.push_back({node_name(name, 1), node_name(str("a", name), 0)});
      else
        names.push_back(
            {node_name(name, 0), node_name(name, name == "var" || name == "std" ? 0 : 1)});
    }
    return names;
  }();
  return kNames[static_cast<size_t>(op)][over_dims].c_str();
}

void record_reduce(const Tensor& out, const ReduceInfo& info, const char* name, const void* params,
                   size_t params_size, const Tensor& x, const DimVector& kept,
                   ReduceContext context) {
  struct Params {
    alignas(8) unsigned char bytes[kMaxParams];
  } copy;
  std::memcpy(copy.bytes, params, params_size);
  auto node = make_node(name, {&x}, {}, [&info, copy, kept, context](const Tensor& g, Backward& b) {
    // y and g with size 1 along the reduced dimensions broadcast against x.
    const bool reads = info.traits.backward_reads;
    return info.backward(copy.bytes, g.reshape(kept), reads ? b.saved(0) : Tensor(),
                         reads ? b.saved(1).reshape(kept) : Tensor(), context);
  });
  Node& recorded = *node;
  set_history(out, std::move(node));
  if (!info.traits.backward_reads) return;
  recorded.save(SavedTensor::input(x));
  recorded.save(SavedTensor::output(out));
}

}  // namespace

namespace detail {

Tensor reduce(int op, const void* params, size_t params_size, const Tensor& input, IntArrayRef dims,
              bool keepdim, ScalarType dtype) {
  const ReduceInfo& info = info_of(op, op::ReduceOps{});
  const bool cast = dtype != ScalarType::Undefined && dtype != input.dtype();
  const Tensor x = cast ? input.to(dtype) : input;
  // A dtype that is asked for is kept where integers would become int64.
  const ScalarType result =
      info.traits.result == ReduceResult::kPromoteInts && dtype != ScalarType::Undefined
          ? dtype
          : reduce_result_type(info.traits.result, info.name, x.dtype());
  const auto reduced = dim_mask(info.name, dims, x.dim());

  DimVector kept(x.sizes()), sizes;
  int64_t count = 1;
  for (size_t d = 0; d < kept.size(); ++d) {
    if (reduced[d]) {
      if (kept[d] == 0 && info.traits.needs_elements) {
        fail_empty_reduction(info.name, dims.empty() ? -1 : static_cast<int64_t>(d));
      }
      count *= kept[d];
      kept[d] = 1;
    }
    if (!reduced[d] || keepdim) sizes.push_back(kept[d]);
  }
  Tensor out = make_empty(sizes, result, x.device());

  DimVector strides(kept.size(), 0);
  for (size_t d = 0, next = 0; d < kept.size(); ++d) {
    if (!reduced[d]) strides[d] = out.strides()[keepdim ? d : next++];
  }
  ReduceArgs args{op, params, out.impl().view(), x.impl().view()};
  args.out.sizes = args.in.sizes;
  args.out.strides = strides.data();
  args.out.ndim = args.in.ndim;
  const KernelTable& table = kernels(x.device());
  if (!table.reduce) missing_kernel(info.name, table);
  table.reduce(args);

  if (info.backward && out.is_floating_point() && needs_grad({&x})) {
    DimVector where;
    for (size_t d = 0; d < kept.size(); ++d) {
      if (reduced[d]) where.push_back(static_cast<int64_t>(d));
    }
    record_reduce(out, info, node_name_of(op, !dims.empty()), params, params_size, x, kept,
                  {count, where});
  }
  return out;
}

}  // namespace detail
}  // namespace tarn
