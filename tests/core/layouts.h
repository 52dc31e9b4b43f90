// The memory layouts every op is tested on.
#pragma once

#include <string_view>

#include "tarn/core/shape.h"
#include "tarn/core/tensor.h"

namespace tarn::testing {

struct LayoutSizes {
  std::initializer_list<int64_t> list;
  int64_t numel;
  operator IntArrayRef() const { return {list.begin(), list.size()}; }  // NOLINT
};

struct Layout {
  std::string_view name;
  LayoutSizes sizes;
  enum Kind { kContiguous, kTransposed, kSliced, kStepped, kBroadcast } kind;
};

inline const std::initializer_list<int64_t> kSmall = {3, 4}, kCube = {2, 3, 4}, kOdd = {37, 29},
                                            kNone = {0, 3}, kPoint = {}, kLine = {17};
inline const Layout kLayouts[] = {
    {"contiguous", {kSmall, 12}, Layout::kContiguous},
    {"transposed", {kCube, 24}, Layout::kTransposed},
    {"sliced", {kSmall, 12}, Layout::kSliced},
    {"every second", {kLine, 17}, Layout::kStepped},
    {"broadcast", {kSmall, 12}, Layout::kBroadcast},
    {"empty", {kNone, 0}, Layout::kContiguous},
    {"0-dim", {kPoint, 1}, Layout::kContiguous},
    {"odd size", {kOdd, 1073}, Layout::kContiguous},
    {"odd size transposed", {kOdd, 1073}, Layout::kTransposed},
};

// The elements of x in the layout; its shape may differ from x's.
inline Tensor with_layout(const Layout& layout, const Tensor& x) {
  switch (layout.kind) {
    case Layout::kTransposed:
      return x.transpose(0, -1);
    case Layout::kSliced: {
      const Tensor room = zeros({x.size(0) + 1, x.size(1) + 2}, x.options());
      const Tensor inside = room.narrow(0, 1, x.size(0)).narrow(1, 1, x.size(1));
      inside.copy_(x);
      return inside.detach();
    }
    case Layout::kStepped: {
      const Tensor room = zeros({2 * x.size(0)}, x.options());
      const Tensor inside = room.slice(0, 0, std::nullopt, 2);
      inside.copy_(x);
      return inside.detach();
    }
    case Layout::kBroadcast:
      return x.narrow(0, 0, 1).expand({5, x.size(1)});
    default:
      return x;
  }
}

}  // namespace tarn::testing
