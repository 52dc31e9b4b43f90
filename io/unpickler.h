#pragma once
// The machine behind unpickle(): a stack, marks and a memo, as Python's, over a closed set of
// items.

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "tarn/io/pickle.h"

namespace tarn::detail {

// The Python names a file may use.
enum class Global {
  OrderedDict,
  Counter,
  DefaultDict,
  BuiltinType,
  Size,
  Device,
  DType,
  StorageType,
  TensorType,
  Encode,
  Bytes,
  RebuildTensor,
  RebuildTensorV2,
  RebuildParameter,
  RebuildParameterWithState,
  RebuildFromType,
};
struct GlobalRef {
  Global what;
  ScalarType dtype = ScalarType::Undefined;  // of a StorageType
  const char* name = "";                     // of a DType
};

// Throws IOError, by way of `fail`, for every name that is not on the list.
class Unpickler;
GlobalRef find_global(const Unpickler& machine, std::string module, const std::string& name);

class Unpickler {
 public:
  Unpickler(std::string_view bytes, StorageTable& storages, const LoadLimits& limits,
            const std::string& file);
  Value run(size_t* end);
  // Throws IOError: the file, the byte of the current opcode, and the problem.
  [[noreturn]] void fail(std::string_view problem) const;

 private:
  // A list or dict still open to change. It is closed for good once it is stored in another object,
  // which rules out cycles and makes the depth a Value records for itself final.
  struct Open {
    Value value;
    bool closed = false;
  };
  struct StorageItem {
    Storage storage;
    ScalarType dtype;
    int64_t numel;
  };
  struct Arguments;
  using Item = std::variant<Value, GlobalRef, StorageItem, std::shared_ptr<Open>,
                            std::shared_ptr<const Arguments>>;
  // A tuple with something in it that is no data by itself.
  struct Arguments {
    std::vector<Item> items;
    int depth;
  };

  // A container or tensor takes as much memory as so many plain values.
  static constexpr uint64_t kObject = 8;

  // unpickler_opcodes.cpp: runs one opcode; false after STOP
  bool step();
  bool step_modern(unsigned char code);

  // unpickler.cpp: the stream, the stack and the memo
  std::string_view take(uint64_t size);
  uint64_t take_uint(int size);
  std::string take_text(uint64_t size);
  std::string take_line();
  Value take_long(uint64_t size);
  void push(Item item);
  void count(uint64_t values);
  Item make_container(Value value);
  Item pop();
  void push_mark();
  std::vector<Item> pop_mark();
  std::string pop_name();
  Open& top_container(bool dict, const char* what);
  void append(std::vector<Item> items);
  void set_items(const std::vector<Item>& items);
  void make_tuple(std::vector<Item> items);
  void put(uint64_t index);
  void get(uint64_t index);
  void build();

  // unpickler_calls.cpp: what names stand for
  void load_persistent(const Item& id);
  Item call(const GlobalRef& function, const std::vector<Item>& arguments);
  Item rebuild_tensor(const std::vector<Item>& arguments);
  Value to_value(const Item& item);
  const Value& data(const Item& item) const;
  std::vector<Item> to_arguments(const Item& item) const;
  bool to_flag(const Item& item) const;
  int64_t to_integer(const Item& item) const;
  std::vector<int64_t> to_shape(const Item& item) const;
  Value with_grad(const Tensor& tensor, bool requires_grad) const;

  std::string_view bytes_;
  StorageTable& storages_;
  const std::string& file_;
  size_t position_ = 0;
  size_t opcode_ = 0;  // where the current opcode starts
  std::vector<Item> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Item> memo_;
  uint64_t values_left_;
  uint64_t copied_ = 0;  // bytes of strings copied out of the memo
};

}  // namespace tarn::detail
