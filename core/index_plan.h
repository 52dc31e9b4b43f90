// Reading and writing through index tensors: what index, gather, index_select and their writing
// counterparts have in common. Internal.
#pragma once

#include "tarn/core/node.h"

namespace tarn::detail {

// Says which element of a tensor `self` belongs to each element of a tensor `values`. It depends on
// self's sizes only, so it serves for gradients as well.
struct IndexPlan {
  DimVector sizes;   // of values
  DimVector source;  // a dimension of values -> that of self it walks, -1: of no one
  DimVector self_sizes;
  DimVector dims;                  // the dimensions of self that are indexed ...
  SmallVector<Tensor, 2> indices;  // ... each by one of these: int64, of shape `sizes`
  bool from_end = false;           // negative indices count from the end, else they are errors
};

// Indices along one dimension, elsewhere position by position: gather and scatter. `index` is no
// larger than self in the other dimensions. Negative indices are errors, here and in plan_select.
IndexPlan plan_along(const Tensor& self, int64_t dim, const Tensor& index);
// A vector of positions along one dimension, all of the others: index_select.
IndexPlan plan_select(const Tensor& self, int64_t dim, const Tensor& index);
// x[i, :, j]: one entry a dimension of self, undefined where all of it is meant. Entries broadcast;
// their shape takes the place of the dimensions they index, or the front if those are not
// neighbours. A bool or uint8 entry stands for the positions where it is true and is followed by as
// many undefined entries as it has further dimensions.
IndexPlan plan_indices(const char* op, const Tensor& self, const std::vector<Tensor>& entries);

// values = self[plan]
Tensor take(const char* node_name, const Tensor& self, const IndexPlan& plan);
// Zeros of self's sizes to which `values` are added: the transpose of take.
Tensor put_on_zeros(const IndexPlan& plan, const Tensor& values);
// self[plan] = values, in place. values have the plan's sizes and self's dtype. With kAssign one of
// several values for an element wins, with kAdd they are summed.
void put_(const char* op, const char* node_name, const Tensor& self, const IndexPlan& plan,
          const Tensor& values, ScatterMode mode);

// `index` as int64 on `device`; throws TypeError unless it holds integers.
Tensor as_index(const char* op, const Tensor& index, Device device);

}  // namespace tarn::detail
