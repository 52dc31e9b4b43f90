// What operations check of their arguments, and arithmetic on shapes: dimensions, broadcasting,
// strides. Errors name the op they are told.
#pragma once

#include "tarn/core/small_vector.h"
#include "tarn/device/device.h"
#include "tarn/kernels/view.h"

namespace tarn {

// Throws DeviceError, naming both, unless they are the same.
void check_same_device(const char* op, Device a, Device b);
// d in [0, ndim) for d in [-ndim, ndim). A 0-dim tensor counts as 1-dim here. Throws IndexError.
int64_t wrap_dim(const char* op, int64_t d, int64_t ndim);
// One flag a dimension; an empty list stands for all. Throws for repeated dimensions.
SmallVector<bool, 8> dim_mask(const char* op, IntArrayRef dims, int64_t ndim);
// The shape to which both broadcast. Throws ShapeError with both.
DimVector broadcast_shapes(const char* op, IntArrayRef a, IntArrayRef b);
bool is_broadcastable_to(IntArrayRef from, IntArrayRef to);
// Strides with which a tensor is read as the larger shape `to`: 0 along repeated dimensions. It
// must be broadcastable. Writes to.size() entries.
void broadcast_strides(IntArrayRef sizes, IntArrayRef strides, IntArrayRef to, int64_t* out);
DimVector contiguous_strides(IntArrayRef sizes);
// True if the elements fill a range of memory, each place once, in some order of the dimensions.
bool is_dense(IntArrayRef sizes, IntArrayRef strides);
// Dense strides for a new tensor of `sizes` whose dimensions lie in memory in the order in which
// those of the operands do, the first having the first say: PyTorch's rule for a result's layout.
// Each operand's strides are those with which it is read as `sizes`.
DimVector strides_like(IntArrayRef sizes, ArrayRef<IntArrayRef> operands);
int64_t numel_of(IntArrayRef sizes);
// Resolves one -1 and checks the element count.
DimVector infer_size(const char* op, IntArrayRef sizes, int64_t numel);
// Strides that present `sizes`/`strides` as `new_sizes` without copying; false if there are none.
bool view_strides(IntArrayRef sizes, IntArrayRef strides, IntArrayRef new_sizes, DimVector* out);
// Throws unless the geometry is valid and lies in a storage of `capacity` elements.
void check_geometry(const char* op, IntArrayRef sizes, IntArrayRef strides, int64_t offset,
                    int64_t capacity);
// Several indices address one element (a stride of 0 along a dimension longer than 1).
bool has_internal_overlap(const View& v);

}  // namespace tarn
