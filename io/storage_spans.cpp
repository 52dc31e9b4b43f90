#include "tarn/io/storage_spans.h"

#include <algorithm>

#include "tarn/core/grad_mode.h"

namespace tarn::detail {

Span reached_by(const Tensor& tensor) {
  if (tensor.numel() == 0) return {};
  int64_t count = 1;
  for (size_t i = 0; i < tensor.sizes().size(); ++i) {
    count += (tensor.sizes()[i] - 1) * tensor.strides()[i];
  }
  return {tensor.storage_offset(), count};
}

StorageSpans::StorageSpans(const Value& value, bool keep_storage) {
  if (keep_storage) return;
  visit(value);
  const NoGradGuard no_grad;
  for (const auto& [storage, use] : uses_) {
    if (use.is_shared || use.span.count <= use.tensor.numel()) continue;
    Tensor copy = use.tensor.contiguous();
    copy.requires_grad_(use.tensor.requires_grad());
    copies_.emplace(use.tensor.unsafeGetTensorImpl(), std::move(copy));
  }
}

void StorageSpans::visit(const Value& value) {
  if (value.is_tensor()) {
    const Tensor& tensor = value.to_tensor();
    // An undefined one is refused when it is written.
    if (!tensor.defined() || !visited_.insert(tensor.unsafeGetTensorImpl()).second) return;
    const Span span = reached_by(tensor);
    const auto [position, is_new] =
        uses_.try_emplace(tensor.storage().unsafeGetStorageImpl(), Use{tensor, span});
    if (is_new) return;
    Use& use = position->second;
    use.is_shared = true;
    if (span.count == 0) return;
    if (use.span.count == 0) use.span = span;
    const int64_t first = std::min(use.span.first, span.first);
    const int64_t end = std::max(use.span.first + use.span.count, span.first + span.count);
    use.span = {first, end - first};
  } else if (value.identity() != nullptr && visited_.insert(value.identity()).second) {
    if (value.is_dict()) {
      for (const auto& [key, element] : value.entries()) visit(element);
      visit(value.metadata());
    } else {
      for (const Value& element : value) visit(element);
    }
  }
}

const Tensor& StorageSpans::to_write(const Tensor& tensor) const {
  const auto copy = copies_.find(tensor.unsafeGetTensorImpl());
  return copy == copies_.end() ? tensor : copy->second;
}

Span StorageSpans::span(const Tensor& written) const {
  const auto use = uses_.find(written.storage().unsafeGetStorageImpl());
  if (use != uses_.end()) return use->second.span;
  // Kept whole, or a copy.
  return {0, static_cast<int64_t>(written.storage().nbytes()) / written.element_size()};
}

}  // namespace tarn::detail
