#pragma once
// The file formats: how each is told from the others, read and written.

#include <memory>
#include <string>

#include "tarn/core/value.h"
#include "tarn/io/byte_stream.h"
#include "tarn/io/options.h"
#include "tarn/io/placer.h"

namespace tarn::detail {

using SourcePtr = std::shared_ptr<const ByteSource>;

struct Format {
  const char* name;  // TensorFile::format()
  // The tensors go through the placer. Throws IOError.
  Value (*read)(const SourcePtr& source, Placer& placer);
};

// The format of a file, by its content alone. Throws IOError if it is none of Tarn's, with its name
// where that is known.
const Format& format_of(const SourcePtr& source);

// Writes `value` in the format that the extension of `path` stands for: PyTorch's for none known.
void write_as(const std::string& path, const Value& value, ByteSink& sink,
              const SaveOptions& options);

// --- PyTorch ------------------------------------------------------------------------------------

// Writes what torch.save of PyTorch 2.x writes for the same objects, bit for bit, into the archive
// folder `folder`. Tensors of other devices are written as CPU tensors. Throws Error.
void write_torch(const Value& value, ByteSink& sink, const std::string& folder,
                 const SaveOptions& options);
// What PyTorch 1.6 or later wrote.
Value read_torch(const SourcePtr& source, Placer& placer);
// What a file before PyTorch 1.6 starts with: the pickle of a magic number.
inline constexpr std::string_view kLegacyMagic(
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
// What PyTorch before 1.6 wrote, and writes today with _use_new_zipfile_serialization=False.
Value read_torch_legacy(const SourcePtr& source, Placer& placer);

// --- safetensors: a JSON header and the bytes of named, contiguous tensors ----------------------
// Source: https://github.com/huggingface/safetensors (README, "Format")

// A dict name -> tensor in the header's order; `__metadata__` becomes the dict's metadata().
// Applies every check of the reference reader and refuses duplicate names, which that accepts.
Value read_safetensors(const SourcePtr& source, Placer& placer);
// The *.index.json of a model in several safetensors files, which lie beside it. A dict in the
// index's order.
Value read_safetensors_index(const SourcePtr& source, Placer& placer);
// Writes what the reference library's save_file writes, bit for bit: of a dict from strings to
// tensors, with its metadata() if that maps strings to strings, else {"format": "pt"}, which
// readers of PyTorch models ask for. Tensors are made contiguous; module versions are not kept.
// Throws TypeError for another value and ValueError for two tensors that share memory, as the
// format cannot say so.
void write_safetensors(const Value& value, ByteSink& sink);

// --- NumPy --------------------------------------------------------------------------------------
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

Value read_npy(const SourcePtr& source, Placer& placer);
// A dict name -> tensor.
Value read_npz(const SourcePtr& source, Placer& placer);
// Throw TypeError for what numpy has no array for: other values, bfloat16.
void write_npy(const Value& value, ByteSink& sink);
void write_npz(const Value& value, ByteSink& sink, bool compress);

}  // namespace tarn::detail
