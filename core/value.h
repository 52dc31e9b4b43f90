#pragma once
// Value: what load() returns and save() takes. A closed set of plain data: nothing in it can run.

#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tarn/core/ordered_dict.h"
#include "tarn/core/state_dict.h"
#include "tarn/core/tensor.h"

namespace tarn {

// One of None, bool, int, double, string, bytes, Tensor, list, tuple, dict: the data a PyTorch file
// can hold. Copying is cheap: containers are shared until one copy is changed (so copies never see
// each other's changes), and tensors share storage as tensors do.
//
//   Value v = load("checkpoint.pt");
//   Tensor w = v.at("model").at("fc.weight").to_tensor();
//   save(Value::dict({{"epoch", 3}, {"lr", 0.1}, {"weights", Value::list({w, w})}}), "out.pt");
//
// A conversion or access that does not fit the kind throws TypeError naming both kinds and, in a
// container, the key. Containers nest at most kMaxDepth deep.
class Value {
 public:
  enum class Kind { None, Bool, Int, Double, String, Bytes, Tensor, List, Tuple, Dict };
  static constexpr int kMaxDepth = 500;
  using Entry = std::pair<Value, Value>;

  // NOLINTBEGIN(google-explicit-constructor): the point of Value is to be made from plain data.
  Value() noexcept = default;  // None
  Value(std::nullopt_t) noexcept {}
  template <std::same_as<bool> T>
  Value(T value) noexcept : data_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T value) : data_(checked_int(value)) {}
  template <std::floating_point T>
  Value(T value) noexcept : data_(static_cast<double>(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(std::string_view value) : data_(std::string(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(std::nullptr_t) = delete;
  Value(Tensor value) : data_(std::move(value)) {}
  // A list.
  template <typename T>
  requires std::convertible_to<const T&, Value> Value(const std::vector<T>& elements)
      : Value(make_list(Kind::List, {})) {
    for (const auto& element : elements) push_back(Value(static_cast<const T&>(element)));
  }
  // A dict, in the map's order.
  template <typename T>
  requires std::convertible_to<const T&, Value> Value(const std::map<std::string, T>& entries)
      : Value(dict()) {
    for (const auto& [key, value] : entries) set(key, value);
  }
  // An ordered dict (Python's collections.OrderedDict).
  template <typename T>
  requires std::convertible_to<const T&, Value> Value(const OrderedDict<std::string, T>& entries)
      : Value(ordered_dict()) {
    for (const auto& item : entries) set(item.key(), item.value());
  }
  // An ordered dict with PyTorch's `_metadata`.
  Value(const StateDict& state);
  // NOLINTEND(google-explicit-constructor)

  static Value bytes(std::string bytes);
  static Value list(std::vector<Value> elements = {});
  static Value tuple(std::vector<Value> elements = {});
  // Keys are None, bool, int, double or string. As in Python, 1, 1.0 and true are one key. Throws
  // ValueError on a duplicate and TypeError on another kind of key.
  static Value dict(std::initializer_list<Entry> entries = {});
  static Value ordered_dict(std::initializer_list<Entry> entries = {});

  Kind kind() const noexcept;
  // "None", "bool", "int", "float", "str", "bytes", "Tensor", "list", "tuple", "dict".
  static const char* name(Kind kind) noexcept;
  bool is_none() const noexcept { return kind() == Kind::None; }
  bool is_bool() const noexcept { return kind() == Kind::Bool; }
  bool is_int() const noexcept { return kind() == Kind::Int; }
  bool is_double() const noexcept { return kind() == Kind::Double; }
  bool is_string() const noexcept { return kind() == Kind::String; }
  bool is_bytes() const noexcept { return kind() == Kind::Bytes; }
  bool is_tensor() const noexcept { return kind() == Kind::Tensor; }
  bool is_list() const noexcept { return kind() == Kind::List; }
  bool is_tuple() const noexcept { return kind() == Kind::Tuple; }
  bool is_dict() const noexcept { return kind() == Kind::Dict; }
  // A dict that Python sees as collections.OrderedDict.
  bool is_ordered_dict() const noexcept;

  // Exact conversions, except that to_double() takes an int too.
  bool to_bool() const;
  int64_t to_int() const;
  double to_double() const;
  const std::string& to_string() const;
  const std::string& to_bytes() const;
  const Tensor& to_tensor() const;
  // libtorch's names of these.
  bool toBool() const { return to_bool(); }
  int64_t toInt() const { return to_int(); }
  double toDouble() const { return to_double(); }
  const std::string& toStringRef() const { return to_string(); }
  const Tensor& toTensor() const { return to_tensor(); }
  // A list or tuple of tensors; an empty one gives no tensors.
  std::vector<Tensor> to_tensors() const;
  // A dict from strings to tensors, in its order. to_state_dict() adds the module versions.
  OrderedDict<std::string, Tensor> to_tensor_dict() const;
  StateDict to_state_dict() const;
  operator StateDict() const { return to_state_dict(); }  // NOLINT(google-explicit-constructor)

  // Elements of a list or tuple, entries of a dict, in order. The references live until this Value
  // is changed or destroyed.
  const std::vector<Value>& elements() const;
  const std::vector<Entry>& entries() const;
  std::vector<Value>::const_iterator begin() const { return elements().begin(); }
  std::vector<Value>::const_iterator end() const { return elements().end(); }
  // The number of elements or entries.
  size_t size() const;

  // The value of a key, or the element at a position of a list or tuple (an int is a key for a
  // dict). Throw IndexError when there is none; find() returns nullptr instead.
  const Value& at(const Value& key) const;
  const Value* find(const Value& key) const;
  bool contains(const Value& key) const { return find(key) != nullptr; }

  // Appends to a list or tuple.
  Value& push_back(Value element);
  // Adds or replaces an entry of a dict.
  Value& set(Value key, Value value);

  // What Python keeps in the attribute `_metadata` of an ordered dict (a dict: module path ->
  // {"version": int}), and safetensors in `__metadata__`; None when there is none.
  const Value& metadata() const;
  Value& set_metadata(Value metadata);

  // The same container object, not merely an equal one: how files tell a shared list from two
  // lists.
  const void* identity() const noexcept;

 private:
  struct Node;
  struct BytesData {
    std::string bytes;
  };
  using NodePtr = std::shared_ptr<Node>;

  explicit Value(NodePtr node) : data_(std::move(node)) {}
  template <std::integral T>
  static int64_t checked_int(T value) {
    if (!std::in_range<int64_t>(value)) {
      throw ValueError(str("[Value] ", value, " does not fit a 64-bit signed integer"));
    }
    return static_cast<int64_t>(value);
  }
  static Value make_list(Kind kind, std::vector<Value> elements);
  static Value make_dict(bool ordered, std::initializer_list<Entry> entries);
  const Node& node(const char* caller, bool dict) const;
  Node& own(const char* caller, bool dict);
  [[noreturn]] void wrong_kind(const char* caller, std::string_view expected) const;

  std::variant<std::monostate, bool, int64_t, double, std::string, BytesData, Tensor, NodePtr>
      data_;
};

// Prints as Python does, tensors as `Tensor(float32, [2, 3])`, and leaves out what goes beyond
// 10,000 items.
std::ostream& operator<<(std::ostream& stream, const Value& value);

}  // namespace tarn
