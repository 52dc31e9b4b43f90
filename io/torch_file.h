#pragma once
// PyTorch's zip format: data.pkl holds the objects, data/<key> the bytes of each storage.

#include <string>

#include "tarn/core/value.h"
#include "tarn/io/byte_stream.h"

namespace tarn::detail {

// Writes what torch.save of PyTorch 2.x writes for the same objects, bit for bit, into the archive
// folder `folder`. Tensors that share a storage share it in the file, and a view brings its whole
// storage along, as in PyTorch; tensors of other devices are written as CPU tensors. Throws Error.
void write_torch(const Value& value, ByteSink& sink, const std::string& folder);

// Reads what PyTorch 1.6 or later wrote, onto `device` whatever device the file names. Throws
// IOError.
Value read_torch(const ByteSource& source, Device device);

// The folder PyTorch names the archive of a path by: "out/mlp.params" -> "mlp".
std::string archive_name(const std::string& path);

}  // namespace tarn::detail
