#include "tarn/io/unpickler.h"

#include <algorithm>

namespace tarn::detail {
namespace {

constexpr size_t kMaxMarks = 1000;
constexpr uint64_t kMaxCopied = 64 << 20;

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < static_cast<size_t>(more)) return false;
    uint32_t code = lead & (0x3Fu >> more);
    for (int k = 0; k < more; ++k) {
      const auto next = static_cast<unsigned char>(text[i++]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
  }
  return true;
}

Value unpickle(std::string_view bytes, StorageTable& storages, const LoadLimits& limits,
               const std::string& file, size_t* end) {
  return Unpickler(bytes, storages, limits, file).run(end);
}

Unpickler::Unpickler(std::string_view bytes, StorageTable& storages, const LoadLimits& limits,
                     const std::string& file)
    : bytes_(bytes),
      storages_(storages),
      file_(file),
      values_left_(std::max(limits.pickle_values, LoadLimits().pickle_values)) {}

void Unpickler::fail(std::string_view problem) const {
  // The problem may quote the file, which may hold a key of any length.
  throw IOError(str("[load] ", file_, ": data.pkl, byte ", opcode_, ": ", problem.substr(0, 500)));
}

Value Unpickler::run(size_t* end) {
  if (take(1)[0] != '\x80') fail("it does not start with a pickle protocol of 2 or more");
  const uint64_t protocol = take_uint(1);
  if (protocol < 2 || protocol > 5)
    fail(str("pickle protocol ", protocol, " is not one of 2 to 5"));
  try {
    while (step()) {
    }
    if (stack_.size() != 1 || !marks_.empty()) fail("the stack does not hold one value at the end");
    if (end != nullptr) {
      *end = position_;
    } else if (position_ != bytes_.size()) {
      fail("trailing bytes after the end");
    }
    return to_value(stack_[0]);
  } catch (const IOError&) {
    throw;
  } catch (const DeviceError&) {  // of where the tensors are to go, not of the file
    throw;
  } catch (const OutOfMemoryError&) {
    throw;
  } catch (const Error& error) {  // of Value: nesting depth, keys
    fail(error.what());
  }
}

std::string_view Unpickler::take(uint64_t size) {
  if (size > bytes_.size() - position_) {
    fail(str("a length of ", size, " bytes goes past the end of the pickle"));
  }
  const std::string_view taken = bytes_.substr(position_, size);
  position_ += size;
  return taken;
}

uint64_t Unpickler::take_uint(int size) {
  const std::string_view bytes = take(static_cast<uint64_t>(size));
  uint64_t value = 0;
  for (int i = size; i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(bytes[static_cast<size_t>(i)]);
  return value;
}

std::string Unpickler::take_text(uint64_t size) {
  const std::string_view text = take(size);
  if (!is_utf8(text)) fail("a str is not valid utf-8");
  return std::string(text);
}

std::string Unpickler::take_line() {
  const size_t end = bytes_.substr(position_, 256).find('\n');
  if (end == std::string_view::npos) fail("a global's name has no end");
  std::string line = take_text(end);
  take(1);
  return line;
}

Value Unpickler::take_long(uint64_t size) {
  if (size > 8) fail(str("an integer of ", size, " bytes does not fit 64 bits"));
  const int bits = static_cast<int>(8 * size);
  uint64_t value = take_uint(static_cast<int>(size));
  if (bits > 0 && bits < 64 && value >> (bits - 1) != 0) value |= ~uint64_t{0} << bits;
  return static_cast<int64_t>(value);
}

void Unpickler::push(Item item) {
  count(1);
  stack_.push_back(std::move(item));
}

// Few bytes make many values, and a small file that is deflated has many bytes.
void Unpickler::count(uint64_t values) {
  if (values > values_left_) {
    fail("the number of values is over the limit. HINT: LoadLimits::pickle_values");
  }
  values_left_ -= values;
}

Unpickler::Item Unpickler::make_container(Value value) {
  count(kObject);
  return std::make_shared<Open>(Open{std::move(value)});
}

Unpickler::Item Unpickler::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty (underflow)");
  Item item = std::move(stack_.back());
  stack_.pop_back();
  return item;
}

void Unpickler::push_mark() {
  if (marks_.size() >= kMaxMarks) fail("marks nest beyond the depth allowed");
  marks_.push_back(stack_.size());
}

std::vector<Unpickler::Item> Unpickler::pop_mark() {
  if (marks_.empty()) fail("there is no mark on the stack");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Item> items(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

std::string Unpickler::pop_name() {
  const Item item = pop();
  const Value& name = data(item);
  if (!name.is_string()) fail("a global's name is not a str");
  return name.to_string();
}

Unpickler::Open& Unpickler::top_container(bool dict, const char* what) {
  Item item = pop();
  push(item);
  const auto* open = std::get_if<std::shared_ptr<Open>>(&item);
  if (open == nullptr || (*open)->value.is_dict() != dict) {
    fail(str(what, " applied to something else than a ", dict ? "dict" : "list"));
  }
  if ((*open)->closed) {
    fail("a container changes after it was stored in another: a cycle, which is not supported");
  }
  return **open;
}

void Unpickler::append(std::vector<Item> items) {
  Open& list = top_container(false, "APPEND");
  for (const Item& item : items) {
    Value value = to_value(item);
    if (list.closed) fail("a list contains itself: a cycle, which is not supported");
    list.value.push_back(std::move(value));
  }
}

void Unpickler::set_items(const std::vector<Item>& items) {
  if (items.size() % 2 != 0) fail("SETITEMS with an odd number of items");
  Open& dict = top_container(true, "SETITEM");
  for (size_t i = 0; i < items.size(); i += 2) {
    Value key = to_value(items[i]), value = to_value(items[i + 1]);
    if (dict.closed) fail("a dict contains itself: a cycle, which is not supported");
    if (dict.value.contains(key)) fail(str("duplicate key ", key));
    dict.value.set(std::move(key), std::move(value));
  }
}

void Unpickler::make_tuple(std::vector<Item> items) {
  count(kObject);
  int depth = 0;
  bool is_data = true;
  for (const Item& item : items) {
    if (const auto* nested = std::get_if<std::shared_ptr<const Arguments>>(&item)) {
      depth = std::max(depth, (*nested)->depth);
      is_data = false;
    }
    const auto* global = std::get_if<GlobalRef>(&item);
    is_data &= !std::holds_alternative<StorageItem>(item) &&
               (global == nullptr || global->what == Global::DType);
  }
  if (is_data) {
    std::vector<Value> elements;
    elements.reserve(items.size());
    for (const Item& item : items) elements.push_back(to_value(item));
    return push(Value::tuple(std::move(elements)));
  }
  if (depth >= 4) fail("arguments nest beyond the depth allowed");
  push(std::make_shared<const Arguments>(Arguments{std::move(items), depth + 1}));
}

void Unpickler::put(uint64_t index) {
  Item item = pop();
  push(item);
  memo_.insert_or_assign(index, std::move(item));
}

void Unpickler::get(uint64_t index) {
  const auto position = memo_.find(index);
  if (position == memo_.end()) fail(str("memo entry ", index, " was never stored"));
  // Few bytes of pickle can ask for many copies of a long string.
  if (const auto* value = std::get_if<Value>(&position->second)) {
    if (value->is_string()) copied_ += value->to_string().size();
    if (value->is_bytes()) copied_ += value->to_bytes().size();
    if (copied_ > kMaxCopied + 8 * bytes_.size()) fail("repeated strings are over the limit");
  }
  push(position->second);
}

void Unpickler::build() {
  const Item state = pop();
  Item target = pop();
  push(target);
  const auto* open = std::get_if<std::shared_ptr<Open>>(&target);
  if (open == nullptr || !(*open)->value.is_ordered_dict()) {
    fail("BUILD sets attributes of something else than an OrderedDict");
  }
  if ((*open)->closed) fail("BUILD changes a container that was stored in another");
  const Value attributes = to_value(state);
  if (!attributes.is_dict()) fail("BUILD's attributes are not a dict");
  // Any other attribute could hide a method of the dict in Python. None is data of its own.
  if (const Value* metadata = attributes.find("_metadata")) {
    if (!metadata->is_dict()) fail("BUILD's _metadata is not a dict");
    (*open)->value.set_metadata(*metadata);
  }
}

}  // namespace tarn::detail
