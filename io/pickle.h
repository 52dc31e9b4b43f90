#pragma once
// Python's pickle format, as far as it carries data: what lies in data.pkl of a PyTorch file.
//
// Reading executes nothing. Names of Python functions and classes in the stream are looked up in a
// closed list and stand for cases of a switch; any other name is an error.
// Source: https://docs.python.org/3/library/pickletools.html, and torch/serialization.py for the
// dialect.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/core/value.h"
#include "tarn/io/options.h"

namespace tarn::detail {

// Where unpickle() gets the bytes of tensors.
class StorageTable {
 public:
  virtual ~StorageTable() = default;
  // The storage with this key, of exactly `numel` elements of `dtype`, which the file says were on
  // the device `location`. The same key gives the same storage each time. Throws IOError when there
  // is none or it does not match.
  virtual Storage get(const std::string& key, ScalarType dtype, int64_t numel,
                      const std::string& location) = 0;
  // How many items name a storage: 5, or with None for the last 6, as before PyTorch 1.6.
  virtual size_t id_size() const { return 5; }
};

// Reads protocols 2 to 5. Throws IOError naming `file`, the byte, what was found and why it is
// refused.
// torch.Size becomes a tuple; torch.dtype and torch.device become their str(); Counter and
// defaultdict become dicts; a Parameter becomes a tensor that requires grad; attributes of tensors
// are dropped. `end`: where to put the position behind the pickle, which otherwise must be that of
// the last byte.
Value unpickle(std::string_view bytes, StorageTable& storages, const LoadLimits& limits,
               const std::string& file, size_t* end = nullptr);

// Whether Python can decode it: no surrogates, no longer forms than needed.
bool is_utf8(std::string_view text);

// The part of a storage that a pickle names.
struct PickledStorage {
  Storage storage;
  ScalarType dtype;
  int64_t first = 0, numel = 0;  // elements
};
struct Pickled {
  std::string bytes;
  std::vector<PickledStorage> storages;  // the storage with key "i" is storages[i]
};

// Writes what torch.save's pickler (protocol 2) writes for the same objects, bit for bit. Python
// tells equal strings apart by object; here equal strings are one object, as they are in Python
// when they come from one place in the program. keep_storage: as SaveOptions. Throws Error for an
// undefined tensor and for a string that is not UTF-8.
Pickled pickle(const Value& value, bool keep_storage);

}  // namespace tarn::detail
