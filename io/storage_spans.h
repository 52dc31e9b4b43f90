#pragma once
// Which elements of their storages the tensors of a value reach: what a file has to hold.

#include <unordered_map>
#include <unordered_set>

#include "tarn/core/value.h"

namespace tarn::detail {

// Elements [first, first + count) of a storage.
struct Span {
  int64_t first = 0, count = 0;
};

// From a tensor's first element in memory to its last.
Span reached_by(const Tensor& tensor);

class StorageSpans {
 public:
  // keep_storage: every span is the whole storage.
  StorageSpans(const Value& value, bool keep_storage);

  // What to write for `tensor`: itself, or a dense copy if it alone uses its storage and leaves out
  // elements in between.
  const Tensor& to_write(const Tensor& tensor) const;
  // The part to write of the storage of what to_write() gave.
  Span span(const Tensor& written) const;

 private:
  struct Use {
    Tensor tensor;  // the first one found
    Span span;
    bool is_shared = false;
  };
  void visit(const Value& value);

  std::unordered_set<const void*> visited_;
  std::unordered_map<const StorageImpl*, Use> uses_;
  std::unordered_map<const TensorImpl*, Tensor> copies_;
};

}  // namespace tarn::detail
