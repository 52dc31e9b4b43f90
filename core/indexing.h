// Indices of Tensor::index and index_put_: x.index({0, Slice(1, None), "...", mask}) is Python's
// x[0, 1:, ..., mask]. Source: https://pytorch.org/cppdocs/notes/tensor_indexing.html.
#pragma once

#include <optional>
#include <string_view>

#include "tarn/core/ops.h"

namespace tarn::indexing {

// Slice bounds left out, as libtorch counts them.
inline constexpr int64_t INDEX_MIN = -(int64_t{1} << 62);
inline constexpr int64_t INDEX_MAX = (int64_t{1} << 62) - 1;

// A new dimension of size 1; also a slice bound left out.
inline constexpr std::nullopt_t None = std::nullopt;
enum class EllipsisIndexType { Ellipsis };
// As many full slices as there are dimensions left.
inline constexpr EllipsisIndexType Ellipsis = EllipsisIndexType::Ellipsis;

// Every step-th position from start up to but without stop; negative bounds count from the end and
// bounds outside are clipped. Throws ValueError unless step > 0.
class Slice {
 public:
  explicit Slice(std::optional<int64_t> start = std::nullopt,
                 std::optional<int64_t> stop = std::nullopt,
                 std::optional<int64_t> step = std::nullopt);
  int64_t start() const { return start_; }
  int64_t stop() const { return stop_; }
  int64_t step() const { return step_; }

 private:
  int64_t start_, stop_, step_;
};

// One entry of an index list. An integer or a 0-dim integer tensor picks a position and drops the
// dimension; a bool adds a dimension of size 1 or 0; an integer tensor gathers along its dimension;
// a bool (or uint8) tensor selects where it is true, over as many dimensions as it has.
class TensorIndex {
 public:
  TensorIndex(std::nullopt_t) : kind_(Kind::None) {}         // NOLINT
  TensorIndex(EllipsisIndexType) : kind_(Kind::Ellipsis) {}  // NOLINT
  // Only "..." is a string index: throws ValueError for others.
  TensorIndex(const char* text);  // NOLINT
  template <class T>
  requires(std::is_integral_v<T>) TensorIndex(T value)  // NOLINT
      : kind_(std::is_same_v<T, bool> ? Kind::Boolean : Kind::Integer),
        integer_(static_cast<int64_t>(value)) {}
  TensorIndex(Slice slice) : kind_(Kind::Slice), slice_(slice) {}                  // NOLINT
  TensorIndex(Tensor tensor) : kind_(Kind::Tensor), tensor_(std::move(tensor)) {}  // NOLINT

  bool is_none() const { return kind_ == Kind::None; }
  bool is_ellipsis() const { return kind_ == Kind::Ellipsis; }
  bool is_integer() const { return kind_ == Kind::Integer; }
  bool is_boolean() const { return kind_ == Kind::Boolean; }
  bool is_slice() const { return kind_ == Kind::Slice; }
  bool is_tensor() const { return kind_ == Kind::Tensor; }
  int64_t integer() const { return integer_; }
  bool boolean() const { return integer_ != 0; }
  const Slice& slice() const { return slice_; }
  const tarn::Tensor& tensor() const { return tensor_; }

 private:
  enum class Kind : int8_t { None, Ellipsis, Integer, Boolean, Slice, Tensor };
  Kind kind_;
  int64_t integer_ = 0;
  indexing::Slice slice_;
  tarn::Tensor tensor_;
};

// "1:5:2"
std::ostream& operator<<(std::ostream& os, const Slice& slice);
// "None", "...", "3", "true", "1:5:2", or the tensor.
std::ostream& operator<<(std::ostream& os, const TensorIndex& index);
// "(None, ..., 0)"
std::ostream& operator<<(std::ostream& os, const std::vector<TensorIndex>& indices);

}  // namespace tarn::indexing
