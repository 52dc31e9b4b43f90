#pragma once
// What save() and load() can be asked for.

#include <cstdint>
#include <map>
#include <string>

#include "tarn/device/device.h"

namespace tarn {

struct SaveOptions {
  // Return only once the file would survive a power failure. Without it saving is faster, and still
  // leaves the old file or the new one, never a broken one, when the program dies.
  bool durable = true;
  // Write the whole storage of every tensor, as PyTorch does. Otherwise only the part that the
  // value's tensors reach is written, so a small view of a large tensor makes a small file. Of
  // importance to PyTorch's format alone.
  bool keep_storage = false;
  // Deflate the members of an .npz file.
  bool compress = false;
};

// What a file may make the reader do at most. A number below the default counts as the default.
struct LoadLimits {
  uint64_t pickle_bytes = 256u << 20;  // of data.pkl, or of the objects of a legacy file
  // Values in a pickle, of which a container or tensor counts as 8: about 1 GB of memory.
  uint64_t pickle_values = 16'000'000;
  uint64_t header_bytes = 100'000'000;  // of a safetensors header or index
  uint64_t zip_entries = 1'000'000;
  uint64_t inflated_bytes = 1u << 30;  // of all deflated members, beyond 16 times the file
};

struct LoadOptions {
  // Where tensors go, whatever device the file names...
  Device device = kCPU;
  // ...except those whose tag in a PyTorch file ("cpu", "cuda:0") has an entry here.
  std::map<std::string, Device> device_map{};
  // Compare the checksums that zip archives hold for tensors. Files that PyTorch wrote after
  // torch.serialization.set_crc32_options(False) need false. The objects around the tensors are
  // always checked.
  bool verify_crc = true;
  // Map the file instead of reading it: nothing is read, nor its checksum compared, before an
  // element is used. Writing to such a tensor does not change the file. Tensors that cannot be used
  // where they lie (deflated, misaligned, big-endian, bool, or for another device) are copied. The
  // file may be replaced by save() meanwhile, but if another program shortens it, using a tensor
  // ends the process (SIGBUS).
  bool mmap = false;
  // Accept up to 64 KiB of other bytes after a zip archive, and any after an .npy array or a legacy
  // PyTorch file.
  bool allow_trailing_bytes = false;
  LoadLimits limits{};
};

}  // namespace tarn
