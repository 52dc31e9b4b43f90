#pragma once
// OrderedDict: a map that remembers insertion order, libtorch's torch::OrderedDict. Parameters,
// buffers, submodules and state dicts are OrderedDicts, so their order is that of registration, as
// in Python.

#include <initializer_list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tarn/device/check.h"

namespace tarn {

// Lookup by key and by position are O(1), erase is O(n). References and iterators are invalidated
// by insert, update, erase and clear. Source: libtorch's torch/ordered_dict.h (API and error
// texts).
template <typename Key, typename Value>
class OrderedDict {
 public:
  // One entry: key() and value(), or *item and item-> for the value.
  class Item {
   public:
    Item(Key key, Value value) : pair_(std::move(key), std::move(value)) {}
    const Key& key() const noexcept { return pair_.first; }
    Value& value() noexcept { return pair_.second; }
    const Value& value() const noexcept { return pair_.second; }
    Value& operator*() noexcept { return value(); }
    const Value& operator*() const noexcept { return value(); }
    Value* operator->() noexcept { return &value(); }
    const Value* operator->() const noexcept { return &value(); }
    const std::pair<Key, Value>& pair() const noexcept { return pair_; }

   private:
    std::pair<Key, Value> pair_;
  };
  using Iterator = typename std::vector<Item>::iterator;
  using ConstIterator = typename std::vector<Item>::const_iterator;

  // `key_description` names a key in error texts: OrderedDict("Penguin") says "Penguin 'b' is not
  // defined".
  explicit OrderedDict(std::string key_description = "Key")
      : key_description_(std::move(key_description)) {}
  // Throws Error on a duplicate key.
  OrderedDict(std::initializer_list<Item> items) : OrderedDict("Key") {
    reserve(items.size());
    for (const Item& item : items) insert(item.key(), item.value());
  }

  const std::string& key_description() const noexcept { return key_description_; }
  size_t size() const noexcept { return items_.size(); }
  bool is_empty() const noexcept { return items_.empty(); }
  bool empty() const noexcept { return items_.empty(); }
  void reserve(size_t size) {
    index_.reserve(size);
    items_.reserve(size);
  }

  // The first and last item. Throw Error when empty.
  Item& front() {
    check_not_empty("front()");
    return items_.front();
  }
  const Item& front() const { return const_cast<OrderedDict*>(this)->front(); }
  Item& back() {
    check_not_empty("back()");
    return items_.back();
  }
  const Item& back() const { return const_cast<OrderedDict*>(this)->back(); }

  Iterator begin() { return items_.begin(); }
  ConstIterator begin() const { return items_.begin(); }
  Iterator end() { return items_.end(); }
  ConstIterator end() const { return items_.end(); }

  // Appends an entry and returns its value. Throws Error when the key is there already.
  Value& insert(Key key, Value value) {
    const auto [position, inserted] = index_.emplace(key, items_.size());
    TARN_CHECK(inserted, key_description_, " '", position->first, "' already defined");
    items_.emplace_back(std::move(key), std::move(value));
    return items_.back().value();
  }
  // Inserts every entry of `other` in its order. A duplicate key throws Error and leaves this
  // unchanged.
  void update(const OrderedDict& other) {
    for (const Item& item : other) {
      TARN_CHECK(!contains(item.key()), key_description_, " '", item.key(), "' already defined");
    }
    reserve(size() + other.size());
    for (const Item& item : other) insert(item.key(), item.value());
  }

  // nullptr when the key is absent.
  Value* find(const Key& key) noexcept {
    const auto position = index_.find(key);
    return position == index_.end() ? nullptr : &items_[position->second].value();
  }
  const Value* find(const Key& key) const noexcept {
    return const_cast<OrderedDict*>(this)->find(key);
  }
  bool contains(const Key& key) const noexcept { return find(key) != nullptr; }

  // The value of a key, or the item at a position. Throw Error when there is none.
  Value& operator[](const Key& key) {
    Value* value = find(key);
    TARN_CHECK(value != nullptr, key_description_, " '", key, "' is not defined");
    return *value;
  }
  const Value& operator[](const Key& key) const { return const_cast<OrderedDict&>(*this)[key]; }
  Item& operator[](size_t index) {
    TARN_CHECK(index < size(), "Index ", index, " is out of bounds");
    return items_[index];
  }
  const Item& operator[](size_t index) const { return const_cast<OrderedDict&>(*this)[index]; }

  // Removes an entry; the others keep their order. Throws Error when the key is absent.
  void erase(const Key& key) {
    const auto position = index_.find(key);
    TARN_CHECK(position != index_.end(), key_description_, " '", key, "' is not defined");
    const size_t removed = position->second;
    index_.erase(position);
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(removed));
    for (auto& entry : index_) entry.second -= entry.second > removed ? 1 : 0;
  }
  void clear() {
    index_.clear();
    items_.clear();
  }

  const std::vector<Item>& items() const noexcept { return items_; }
  std::vector<Key> keys() const {
    return collect<Key>([](const Item& item) { return item.key(); });
  }
  std::vector<Value> values() const {
    return collect<Value>([](const Item& item) { return item.value(); });
  }
  std::vector<std::pair<Key, Value>> pairs() const {
    return collect<std::pair<Key, Value>>([](const Item& item) { return item.pair(); });
  }

  // Same keys and values in the same order; the key description does not count.
  friend bool operator==(const OrderedDict& a, const OrderedDict& b) {
    return a.pairs() == b.pairs();
  }

 private:
  void check_not_empty(const char* caller) const {
    TARN_CHECK(!items_.empty(), "Called ", caller, " on an empty OrderedDict");
  }
  template <typename T, typename F>
  std::vector<T> collect(F&& field) const {
    std::vector<T> result;
    result.reserve(size());
    for (const Item& item : items_) result.push_back(field(item));
    return result;
  }

  std::unordered_map<Key, size_t> index_;
  std::vector<Item> items_;
  std::string key_description_;
};

}  // namespace tarn
