#pragma once
// Files in IDX format, the format of MNIST (http://yann.lecun.com/exdb/mnist/): a type, the sizes
// and the numbers of one array, big-endian.

#include <string>

#include "tarn/core/tensor.h"

namespace tarn::detail {
class ByteSource;
}

namespace tarn::data {

// The array of an IDX file, plain or gzip by its content, of dtype uint8, int8, int16, int32,
// float32 or float64 as the file says. Throws IOError, with the path, for a file that is absent, is
// no IDX file, or has more or fewer bytes than its sizes ask for; no more memory is asked for than
// a file of its length can fill.
Tensor read_idx(const std::string& path);
Tensor read_idx(const tarn::detail::ByteSource& source);

}  // namespace tarn::data
