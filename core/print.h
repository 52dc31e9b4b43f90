// Printing tensors as libtorch does.
#pragma once

#include <ostream>

#include "tarn/core/ops.h"

namespace tarn {

// The elements, in lines of at most `linesize` characters where possible, then type and sizes:
//   1.5000  2.0000
//  -0.5000  3.0000
// [ CPUFloatType{2,2} ]
// A line "0.001 *" before them is a factor of all that follow. Four digits after the point; NaN and
// infinities as such. An undefined tensor prints "[ Tensor (undefined) ]".
std::ostream& print(std::ostream& os, const Tensor& x, int64_t linesize);
std::ostream& operator<<(std::ostream& os, const Tensor& x);
// To standard output, with an end of line.
void print(const Tensor& x);

}  // namespace tarn
