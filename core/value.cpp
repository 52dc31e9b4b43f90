#include "tarn/core/value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>

namespace tarn {

struct Value::Node {
  explicit Node(Kind node_kind) : kind(node_kind) {}

  // How many containers lie on the longest way down, this one included. It bounds every recursion
  // over a Value, the destructor's too; and as children are whole before they go in, there are no
  // cycles.
  int depth = 1;
  Kind kind;
  bool ordered = false;
  std::vector<Value> elements;                    // list, tuple
  std::vector<Entry> entries;                     // dict
  std::unordered_map<std::string, size_t> index;  // key_text() -> position in entries
  Value metadata;

  void include(const Value& child) {
    const NodePtr* node = std::get_if<NodePtr>(&child.data_);
    if (node == nullptr) return;
    const int below = (*node)->depth;
    if (below >= kMaxDepth) {
      throw ValueError(
          str("[Value] containers nest deeper than the depth of ", kMaxDepth, " allowed"));
    }
    depth = std::max(depth, below + 1);
  }
};

namespace {

// Equal texts for equal keys, by Python's rules for equality.
std::string key_text(const Value& key) {
  switch (key.kind()) {
    case Value::Kind::None:
      return "n";
    case Value::Kind::Bool:
      return key.to_bool() ? "i1" : "i0";
    case Value::Kind::Int:
      return "i" + std::to_string(key.to_int());
    case Value::Kind::String:
      return "s" + key.to_string();
    case Value::Kind::Double: {
      const double number = key.to_double();
      if (std::abs(number) < 0x1p63 && number == std::trunc(number)) {
        return "i" + std::to_string(static_cast<int64_t>(number));
      }
      return "d" + std::to_string(std::bit_cast<uint64_t>(number));
    }
    default:
      throw TypeError(str("[dict] a ", Value::name(key.kind()), " cannot be a key of a dict"));
  }
}

// What a value is, for an error text: "a str ('abc')", "a dict of size 3".
std::string describe(const Value& value) {
  using Kind = Value::Kind;
  const Kind kind = value.kind();
  const char* article = kind == Kind::Int ? "an " : kind == Kind::None ? "" : "a ";
  if (kind == Kind::None || kind == Kind::Tensor) return str(article, Value::name(kind));
  if (kind >= Kind::List) return str(article, Value::name(kind), " of size ", value.size());
  if (kind == Kind::Bytes) return str(article, "bytes object");
  std::string shown = str(value);
  if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
  return str(article, Value::name(kind), " (", shown, ")");
}

}  // namespace

Value Value::make_list(Kind kind, std::vector<Value> elements) {
  auto node = std::make_shared<Node>(kind);
  for (const Value& element : elements) node->include(element);
  node->elements = std::move(elements);
  return Value(std::move(node));
}

Value Value::make_dict(bool ordered, std::initializer_list<Entry> entries) {
  auto node = std::make_shared<Node>(Kind::Dict);
  node->ordered = ordered;
  Value result(std::move(node));
  for (const auto& [key, value] : entries) {
    if (result.contains(key)) throw ValueError(str("[dict] duplicate key ", key));
    result.set(key, value);
  }
  return result;
}

Value Value::list(std::vector<Value> elements) {
  return make_list(Kind::List, std::move(elements));
}
Value Value::tuple(std::vector<Value> elements) {
  return make_list(Kind::Tuple, std::move(elements));
}
Value Value::dict(std::initializer_list<Entry> entries) { return make_dict(false, entries); }
Value Value::ordered_dict(std::initializer_list<Entry> entries) { return make_dict(true, entries); }

Value Value::bytes(std::string bytes) {
  Value result;
  result.data_ = BytesData{std::move(bytes)};
  return result;
}

Value::Value(const StateDict& state)
    : Value(static_cast<const OrderedDict<std::string, Tensor>&>(state)) {
  Value versions = ordered_dict();
  for (const auto& item : state.metadata) {
    versions.set(item.key(), dict({{"version", item.value()}}));
  }
  if (!state.metadata.is_empty()) set_metadata(std::move(versions));
}

Value::Kind Value::kind() const noexcept {
  const NodePtr* node = std::get_if<NodePtr>(&data_);
  if (node == nullptr) return static_cast<Kind>(data_.index());
  return *node == nullptr ? Kind::None : (*node)->kind;  // none: moved from
}

const char* Value::name(Kind kind) noexcept {
  constexpr const char* kNames[] = {"None",  "bool",   "int",  "float", "str",
                                    "bytes", "Tensor", "list", "tuple", "dict"};
  return kNames[static_cast<int>(kind)];
}

void Value::wrong_kind(const char* caller, std::string_view expected) const {
  throw TypeError(str("[", caller, "] the value is ", describe(*this), ", expected ", expected));
}

bool Value::to_bool() const {
  if (!is_bool()) wrong_kind("to_bool", "a bool");
  return std::get<bool>(data_);
}

int64_t Value::to_int() const {
  if (!is_int()) wrong_kind("to_int", "an int");
  return std::get<int64_t>(data_);
}

double Value::to_double() const {
  if (is_int()) return static_cast<double>(std::get<int64_t>(data_));
  if (!is_double()) wrong_kind("to_double", "a float or int");
  return std::get<double>(data_);
}

const std::string& Value::to_string() const {
  if (!is_string()) wrong_kind("to_string", "a str");
  return std::get<std::string>(data_);
}

const std::string& Value::to_bytes() const {
  if (!is_bytes()) wrong_kind("to_bytes", "bytes");
  return std::get<BytesData>(data_).bytes;
}

const Tensor& Value::to_tensor() const {
  if (!is_tensor()) wrong_kind("to_tensor", "a Tensor");
  return std::get<Tensor>(data_);
}

std::vector<Tensor> Value::to_tensors() const {
  if (!is_list() && !is_tuple()) wrong_kind("to_tensors", "a list or tuple of Tensors");
  std::vector<Tensor> tensors;
  tensors.reserve(size());
  for (const Value& element : elements()) {
    if (!element.is_tensor()) {
      throw TypeError(str("[to_tensors] element ", tensors.size(), " is ", describe(element),
                          ", expected a Tensor"));
    }
    tensors.push_back(element.to_tensor());
  }
  return tensors;
}

OrderedDict<std::string, Tensor> Value::to_tensor_dict() const {
  if (!is_dict()) wrong_kind("to_tensor_dict", "a dict of Tensors");
  OrderedDict<std::string, Tensor> tensors;
  tensors.reserve(size());
  for (const auto& [key, value] : entries()) {
    if (!key.is_string()) {
      throw TypeError(
          str("[to_tensor_dict] the key ", key, " is ", describe(key), ", expected a str"));
    }
    if (!value.is_tensor()) {
      throw TypeError(
          str("[to_tensor_dict] key ", key, " holds ", describe(value), ", expected a Tensor",
              value.is_dict() ? str(". HINT: take the dict you want with .at(", key, ")") : ""));
    }
    tensors.insert(key.to_string(), value.to_tensor());
  }
  return tensors;
}

StateDict Value::to_state_dict() const {
  StateDict state;
  static_cast<OrderedDict<std::string, Tensor>&>(state) = to_tensor_dict();
  if (!metadata().is_dict()) return state;
  for (const auto& [path, info] : metadata().entries()) {
    const Value* version = info.is_dict() ? info.find("version") : nullptr;
    if (path.is_string() && version != nullptr && version->is_int()) {
      state.metadata.insert(path.to_string(), version->to_int());
    }
  }
  return state;
}

const Value::Node& Value::node(const char* caller, bool dict) const {
  if (dict ? !is_dict() : !is_list() && !is_tuple()) {
    wrong_kind(caller, dict ? "a dict" : "a list or tuple");
  }
  return *std::get<NodePtr>(data_);
}

Value::Node& Value::own(const char* caller, bool dict) {
  node(caller, dict);
  NodePtr& held = std::get<NodePtr>(data_);
  if (held.use_count() > 1) held = std::make_shared<Node>(*held);
  return *held;
}

bool Value::is_ordered_dict() const noexcept {
  return is_dict() && std::get<NodePtr>(data_)->ordered;
}

const std::vector<Value>& Value::elements() const { return node("elements", false).elements; }
const std::vector<Value::Entry>& Value::entries() const { return node("entries", true).entries; }

size_t Value::size() const {
  if (kind() < Kind::List) wrong_kind("size", "a list, tuple or dict");
  return is_dict() ? entries().size() : elements().size();
}

const Value* Value::find(const Value& key) const {
  if (is_dict()) {
    const Node& dict = node("find", true);
    const auto position = dict.index.find(key_text(key));
    return position == dict.index.end() ? nullptr : &dict.entries[position->second].second;
  }
  if (!is_list() && !is_tuple()) wrong_kind("at", "a list, tuple or dict");
  if (!key.is_int()) {
    throw TypeError(str("[at] a ", name(kind()), " takes an int as position, got ", describe(key)));
  }
  const int64_t index = key.to_int();
  return index >= 0 && static_cast<uint64_t>(index) < size()
             ? &elements()[static_cast<size_t>(index)]
             : nullptr;
}

const Value& Value::at(const Value& key) const {
  if (const Value* found = find(key)) return *found;
  if (!is_dict()) {
    throw IndexError(
        str("[at] position ", key, " is out of range of a ", name(kind()), " of size ", size()));
  }
  std::string keys;
  for (size_t i = 0; i < std::min<size_t>(size(), 10); ++i) keys += str(" ", entries()[i].first);
  throw IndexError(str("[at] key ", key, " is not in the dict of size ", size(), ", which has",
                       keys, size() > 10 ? " ..." : ""));
}

Value& Value::push_back(Value element) {
  Node& list = own("push_back", false);
  list.include(element);
  list.elements.push_back(std::move(element));
  return *this;
}

Value& Value::set(Value key, Value value) {
  Node& dict = own("set", true);
  std::string text = key_text(key);
  dict.include(value);
  const auto [position, inserted] = dict.index.emplace(std::move(text), dict.entries.size());
  if (inserted) {
    dict.entries.emplace_back(std::move(key), std::move(value));
  } else {
    dict.entries[position->second].second = std::move(value);
  }
  return *this;
}

const Value& Value::metadata() const {
  static const Value none;
  return is_dict() ? std::get<NodePtr>(data_)->metadata : none;
}

Value& Value::set_metadata(Value metadata) {
  Node& dict = own("set_metadata", true);
  dict.include(metadata);
  dict.metadata = std::move(metadata);
  return *this;
}

const void* Value::identity() const noexcept {
  const NodePtr* node = std::get_if<NodePtr>(&data_);
  return node == nullptr ? nullptr : node->get();
}

}  // namespace tarn
