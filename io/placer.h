#pragma once
// Placer: what becomes of the tensors that a format's reader finds in a file.

#include <string>
#include <unordered_map>
#include <vector>

#include "tarn/core/tensor.h"
#include "tarn/io/options.h"
#include "tarn/io/stored_bytes.h"
#include "tarn/io/tensor_file.h"

namespace tarn::detail {

// The bytes of a storage, and how its elements lie in them.
struct StoredTensor {
  StoredBytes bytes;
  ScalarType dtype;
  bool big_endian = false;
  std::string location = "cpu";  // the device tag of PyTorch's files

  // How many elements there are.
  int64_t numel() const { return static_cast<int64_t>(bytes.size) / element_size(dtype); }
  bool swaps() const { return big_endian && element_size(dtype) > 1; }
};

class Placer {
 public:
  // outline: storages get a size and no bytes, and stored() finds where those are.
  explicit Placer(LoadOptions options, bool outline = false)
      : options_(std::move(options)), outline_(outline) {}

  const LoadOptions& options() const noexcept { return options_; }
  // A storage that is mapped, or that finish() fills, as the options say; for an outline, noted.
  // Every load of every format goes through here. Throws IOError, DeviceError, OutOfMemoryError.
  Storage place(const StoredTensor& stored);
  // The same for a tensor of all the bytes, in C order.
  Tensor place(const StoredTensor& stored, const std::vector<int64_t>& sizes);
  // Reads what is still to be read, on all threads: one pass over a file costs less than one for
  // each tensor.
  void finish();
  // A tensor of a dtype that Tarn does not have: an IOError, except for an outline.
  void place_unknown(const std::string& file, TensorInfo info);

  // Of a storage in an outline.
  const StoredTensor& stored(const Storage& storage) const;
  const std::vector<TensorInfo>& unknown() const noexcept { return unknown_; }

 private:
  // Storages on the CPU, to be filled.
  struct Pending {
    StoredTensor stored;
    Storage storage;
  };
  Storage read(const StoredTensor& stored);
  static void fill(const std::vector<Pending>& all, bool check);

  LoadOptions options_;
  bool outline_;
  std::vector<Pending> pending_;
  std::unordered_map<const StorageImpl*, StoredTensor> stored_;
  std::vector<TensorInfo> unknown_;
};

// The elements of a storage as one flat tensor on another device.
Storage move_storage(const Storage& storage, ScalarType dtype, Device device);

}  // namespace tarn::detail
