// Forward declarations of Tarn's main classes, for headers that only pass them on.
#pragma once

#include <cstdint>

namespace tarn {

class Device;
class Error;
class Generator;
class Scalar;
class Storage;
class Tensor;
class TensorOptions;
template <class T>
class ArrayRef;
using IntArrayRef = ArrayRef<int64_t>;
using TensorList = ArrayRef<Tensor>;
enum class DeviceType : int8_t;
enum class ScalarType : int8_t;

namespace indexing {
class Slice;
class TensorIndex;
}  // namespace indexing

}  // namespace tarn
