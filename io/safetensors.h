#pragma once
// safetensors: a JSON header and the bytes of named, contiguous tensors.
// Source: https://github.com/huggingface/safetensors (README, "Format")

#include "tarn/core/value.h"
#include "tarn/io/byte_stream.h"

namespace tarn::detail {

// A dict name -> tensor in the header's order; `__metadata__` becomes the dict's metadata().
// Applies every check of the reference reader and refuses duplicate names, which that accepts.
// Throws IOError.
Value read_safetensors(const ByteSource& source, Device device);

// Writes what the reference library's save_file writes, bit for bit: of a dict from strings to
// tensors, with its metadata() if that maps strings to strings, else {"format": "pt"}, which
// readers of PyTorch models ask for. Tensors are made contiguous; module versions are not kept.
// Throws TypeError for another value and ValueError for two tensors that share memory, as the
// format cannot say so.
void write_safetensors(const Value& value, ByteSink& sink);

}  // namespace tarn::detail
