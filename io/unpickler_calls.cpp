#include <algorithm>
#include <map>

#include "tarn/io/dense_bytes.h"
#include "tarn/io/unpickler.h"

namespace tarn::detail {
namespace {

// "module.name" -> what it stands for.
const std::map<std::string, GlobalRef, std::less<>>& globals() {
  static const std::map<std::string, GlobalRef, std::less<>> table = [] {
    std::map<std::string, GlobalRef, std::less<>> names = {
        {"collections.OrderedDict", {Global::OrderedDict}},
        {"collections.Counter", {Global::Counter}},
        {"collections.defaultdict", {Global::DefaultDict}},
        {"builtins.list", {Global::BuiltinType}},
        {"builtins.dict", {Global::BuiltinType}},
        {"builtins.int", {Global::BuiltinType}},
        {"builtins.float", {Global::BuiltinType}},
        {"builtins.bytes", {Global::Bytes}},
        {"_codecs.encode", {Global::Encode}},
        {"torch.Size", {Global::Size}},
        {"torch.device", {Global::Device}},
        {"torch.Tensor", {Global::TensorType}},
        {"torch.nn.parameter.Parameter", {Global::TensorType}},
        {"torch.nn.parameter.Buffer", {Global::TensorType}},
        {"torch._utils._rebuild_tensor", {Global::RebuildTensor}},
        {"torch._utils._rebuild_tensor_v2", {Global::RebuildTensorV2}},
        {"torch._utils._rebuild_parameter", {Global::RebuildParameter}},
        {"torch._utils._rebuild_parameter_with_state", {Global::RebuildParameterWithState}},
        {"torch._tensor._rebuild_from_type_v2", {Global::RebuildFromType}},
    };
    for (int i = 0; i < kNumScalarTypes; ++i) {
      const auto dtype = static_cast<ScalarType>(i);
      const std::string storage = std::string(tarn::to_string(dtype)) + "Storage";
      names[std::string("torch.") + python_name(dtype)] = {Global::DType, dtype,
                                                           python_name(dtype)};
      names["torch." + storage] = names["torch.cuda." + storage] = {Global::StorageType, dtype};
    }
    return names;
  }();
  return table;
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](auto start) { return text.starts_with(start); });
}

}  // namespace

GlobalRef find_global(const Unpickler& machine, std::string module, const std::string& name) {
  if (module == "__builtin__") module = "builtins";  // Python 2's name, which protocol 2 keeps
  const std::string full = module + '.' + name;
  const auto position = globals().find(full);
  if (position != globals().end()) return position->second;
  if (starts_with_any(full, {"numpy."})) {
    machine.fail(str("global ", full,
                     " is unsupported: numpy objects are not read. HINT: in Python, save "
                     "float(x) for a numpy scalar and torch.from_numpy(a) for an array"));
  }
  // What PyTorch itself writes for data that Tarn has no type for.
  if (starts_with_any(full,
                      {"torch._utils._rebuild_", "torch.storage.", "torch.Q", "torch.Complex",
                       "torch.complex", "torch.float8", "torch.uint", "torch.serialization."}) &&
      name != "_load_from_bytes") {
    machine.fail(str("global ", full,
                     " is unsupported: quantized, sparse, complex, nested and unsigned 16- "
                     "to 64-bit tensors, tensor subclasses and bare storages are not read"));
  }
  machine.fail(str("global ", full,
                   " is not allowed: loading never runs a file's code. HINT: in Python, save "
                   "a state_dict() instead of the object itself"));
}

void Unpickler::load_persistent(const Item& id) {
  const auto* tuple = std::get_if<std::shared_ptr<const Arguments>>(&id);
  const size_t size = storages_.id_size();
  if (tuple == nullptr || (*tuple)->items.size() != size) {
    fail(str("a persistent id is not a storage's ", size, "-tuple"));
  }
  const auto& items = (*tuple)->items;
  const auto* view = size > 5 ? std::get_if<Value>(&items[5]) : nullptr;
  if (size > 5 && (view == nullptr || !view->is_none())) {
    fail("a persistent id is a view of another storage, as PyTorch wrote them before 0.4");
  }
  const auto* type = std::get_if<GlobalRef>(&items[1]);
  if (!data(items[0]).is_string() || data(items[0]).to_string() != "storage" || type == nullptr ||
      type->what != Global::StorageType || !data(items[2]).is_string() ||
      !data(items[3]).is_string()) {
    fail("a persistent id is not ('storage', type, key, location, numel)");
  }
  const std::string& location = data(items[3]).to_string();
  const std::string kind = location.substr(0, location.find(':'));
  const bool plain =
      std::all_of(kind.begin(), kind.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (!plain || kind.size() < 2 || location.size() > 12 || kind == "meta") {
    fail(str("a storage is on the unknown device '", location.substr(0, 32), "'"));
  }
  const int64_t numel = to_integer(items[4]);
  if (numel < 0) fail(str("a storage has the negative size ", numel));
  push(StorageItem{storages_.get(data(items[2]).to_string(), type->dtype, numel, location),
                   type->dtype, numel});
}

Unpickler::Item Unpickler::call(const GlobalRef& function, const std::vector<Item>& arguments) {
  const size_t count = arguments.size();
  const auto expect = [&](bool fits) {
    if (!fits) fail(str("a function is called with ", count, " arguments or the wrong ones"));
  };
  switch (function.what) {
    case Global::OrderedDict:
      expect(count == 0);
      return make_container(Value::ordered_dict());
    case Global::Counter:
      expect(count == 0 || (count == 1 && to_value(arguments[0]).is_dict()));
      return count == 1 ? to_value(arguments[0]) : make_container(Value::dict());
    case Global::DefaultDict: {
      const auto* factory = count == 1 ? std::get_if<GlobalRef>(&arguments[0]) : nullptr;
      expect(count == 0 || (factory != nullptr && factory->what == Global::BuiltinType));
      return make_container(Value::dict());
    }
    case Global::Size: {
      expect(count == 1 && data(arguments[0]).is_tuple());
      to_shape(arguments[0]);
      return arguments[0];
    }
    case Global::Device: {
      expect((count == 1 || count == 2) && data(arguments[0]).is_string());
      std::string device = data(arguments[0]).to_string();
      if (count == 2) device += str(':', to_integer(arguments[1]));
      return Value(std::move(device));
    }
    case Global::Bytes:
      expect(count == 0);
      return Value::bytes({});
    case Global::Encode: {
      expect(count == 2 && data(arguments[0]).is_string() && data(arguments[1]).is_string());
      const std::string& encoding = data(arguments[1]).to_string();
      if (encoding != "latin1" && encoding != "latin-1") {
        fail(str("bytes in the encoding '", encoding,
                 "' are unsupported; latin1 is what Python writes"));
      }
      std::string bytes;
      const std::string& text = data(arguments[0]).to_string();
      for (size_t i = 0; i < text.size(); ++i) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead > 0xC3) fail("bytes hold a character beyond latin1");
        // Valid UTF-8 was checked for, so a lead of 0xC2 or 0xC3 has its second byte.
        bytes += lead < 0x80 ? text[i] : static_cast<char>(lead << 6 | (text[++i] & 0x3F));
      }
      return Value::bytes(std::move(bytes));
    }
    case Global::RebuildTensor:
    case Global::RebuildTensorV2:
      return rebuild_tensor(arguments);
    case Global::RebuildParameter:
    case Global::RebuildParameterWithState:
      expect(count == (function.what == Global::RebuildParameter ? 3 : 4) &&
             data(arguments[0]).is_tensor());
      return with_grad(data(arguments[0]).to_tensor(), to_flag(arguments[1]));
    case Global::RebuildFromType: {
      expect(count == 4);
      const auto* inner = std::get_if<GlobalRef>(&arguments[0]);
      const auto* type = std::get_if<GlobalRef>(&arguments[1]);
      expect(inner != nullptr && type != nullptr && type->what == Global::TensorType &&
             inner->what >= Global::RebuildTensor &&
             inner->what <= Global::RebuildParameterWithState);
      return call(*inner, to_arguments(arguments[2]));
    }
    default:
      fail("a type or dtype is called as a function");
  }
}

// (storage, offset, size, stride[, requires_grad, backward hooks[, metadata]])
Unpickler::Item Unpickler::rebuild_tensor(const std::vector<Item>& arguments) {
  count(kObject);
  const size_t size = arguments.size();
  if (size != 4 && size != 6 && size != 7) fail(str("a tensor is made of ", size, " arguments"));
  const auto* storage = std::get_if<StorageItem>(&arguments[0]);
  if (storage == nullptr) fail("a tensor is made without a storage");
  if (size == 7) {
    const Value metadata = to_value(arguments[6]);
    if (!metadata.is_none() && !(metadata.is_dict() && metadata.size() == 0)) {
      fail("a tensor with the conjugate or negative bit is unsupported");
    }
  }
  const std::vector<int64_t> sizes = to_shape(arguments[2]), strides = to_shape(arguments[3]);
  // A tensor without elements may start anywhere; PyTorch slices some to beyond the end.
  const int64_t offset = to_integer(arguments[1]);
  const bool empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
  const Tensor tensor = Tensor::from_storage(storage->storage, storage->dtype, sizes, strides,
                                             empty ? std::min(offset, storage->numel) : offset);
  // A view may repeat elements of a small storage, but must stay small enough to be copied.
  if (!dense_bytes(sizes, element_size(storage->dtype))) {
    fail(str("overflow: a tensor of size ", IntArrayRef(sizes), " is too large"));
  }
  return with_grad(tensor, size > 4 && to_flag(arguments[4]));
}

Value Unpickler::with_grad(const Tensor& tensor, bool requires_grad) const {
  if (requires_grad && !tensor.is_floating_point()) {
    fail(str("a tensor of dtype ", tensor.scalar_type(), " cannot have requires_grad"));
  }
  if (requires_grad) tensor.requires_grad_(true);
  return tensor;
}

Value Unpickler::to_value(const Item& item) {
  if (const auto* value = std::get_if<Value>(&item)) return *value;
  if (const auto* open = std::get_if<std::shared_ptr<Open>>(&item)) {
    (*open)->closed = true;
    return (*open)->value;
  }
  const auto* global = std::get_if<GlobalRef>(&item);
  if (global != nullptr && global->what == Global::DType)
    return std::string("torch.") + global->name;
  fail(std::holds_alternative<StorageItem>(item)
           ? "a storage stands where a tensor should. HINT: in Python, save tensors, not storages"
           : "a Python type or function stands where data should");
}

const Value& Unpickler::data(const Item& item) const {
  static const Value none;
  const auto* value = std::get_if<Value>(&item);
  return value != nullptr ? *value : none;
}

std::vector<Unpickler::Item> Unpickler::to_arguments(const Item& item) const {
  if (const auto* arguments = std::get_if<std::shared_ptr<const Arguments>>(&item)) {
    return (*arguments)->items;
  }
  const Value& tuple = data(item);
  if (!tuple.is_tuple()) fail("the arguments of a call are not a tuple");
  return {tuple.begin(), tuple.end()};
}

bool Unpickler::to_flag(const Item& item) const {
  if (!data(item).is_bool()) fail("requires_grad is not a bool");
  return data(item).to_bool();
}

int64_t Unpickler::to_integer(const Item& item) const {
  if (!data(item).is_int()) fail("a number of elements is not an int");
  return data(item).to_int();
}

std::vector<int64_t> Unpickler::to_shape(const Item& item) const {
  const Value& tuple = data(item);
  if (!tuple.is_tuple()) fail("a shape or stride is not a tuple of ints");
  if (tuple.size() > kMaxRank) {
    fail(str("a tensor has the rank ", tuple.size(), "; the limit is ", kMaxRank));
  }
  std::vector<int64_t> shape;
  for (const Value& size : tuple) {
    if (!size.is_int()) fail("a shape or stride is not a tuple of ints");
    shape.push_back(size.to_int());
  }
  return shape;
}

}  // namespace tarn::detail
