#pragma once
// save() and load(): tensors, lists, dicts, modules and optimizers as files that PyTorch reads and
// writes.
//
//   save(x, "x-file");                         Tensor x2;  load(x2, "x-file");
//   save(std::vector<Tensor>{x, y}, "xs");     auto xs = load("xs").to_tensors();
//   save(net, "mlp.params");                   load(net, "mlp.params");
//   save(Value::dict({{"net", net->state_dict()}, {"epoch", 3}}), "checkpoint.pt");
//
// In Python: torch.load("mlp.params") with its safe default, and torch.save(anything made of
// tensors, numbers, strings, lists, tuples and dicts, path) for the other direction.

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <vector>

#include "tarn/core/value.h"
#include "tarn/io/options.h"
#include "tarn/io/tensor_file.h"

namespace tarn {

// Writes by the extension of `path`: ".safetensors" (a flat dict of tensors), ".npy" (one tensor),
// ".npz" (a flat dict of tensors), or any other: PyTorch's zip format. The old file stays as it
// was until the new one is complete, and after every error. In PyTorch's format tensors that share
// storage share it in the file. Throws IOError with the path and the system's reason, TypeError or
// ValueError for a value that the format cannot hold.
void save(const Value& value, const std::string& path, const SaveOptions& options = {});
// Writes PyTorch's zip format to a binary stream.
void save(const Value& value, std::ostream& stream, const SaveOptions& options = {});

// Reads any of these formats, PyTorch's from before 1.6, and the *.index.json of safetensors in
// several files, told apart by content. Nothing in a file is ever executed, and every length in it
// is checked before memory is asked for. Throws IOError for a file that is absent, damaged, unsafe
// or of another format.
Value load(const std::string& path, const LoadOptions& options);
// Reads a binary stream to its end.
Value load(std::istream& stream, const LoadOptions& options);
Value load(const char* data, size_t size, const LoadOptions& options);

inline Value load(const std::string& path, Device device = kCPU) {
  return load(path, LoadOptions{.device = device});
}
inline Value load(std::istream& stream, Device device = kCPU) {
  return load(stream, LoadOptions{.device = device});
}
inline Value load(const char* data, size_t size, Device device = kCPU) {
  return load(data, size, LoadOptions{.device = device});
}

namespace detail {

// A module handle (m->state_dict()) or an optimizer (m.state_dict()).
template <typename T>
concept StatefulHandle = requires(const T& object) {
  Value(object->state_dict());
};
template <typename T>
concept StatefulObject = requires(const T& object) {
  Value(object.state_dict());
};
template <typename T>
concept Stateful = StatefulHandle<T> || StatefulObject<T>;

inline void assign(Tensor& target, const Value& value) { target = value.to_tensor(); }
inline void assign(std::vector<Tensor>& target, const Value& value) { target = value.to_tensors(); }
template <Stateful T>
void assign(T& target, const Value& value) {
  if constexpr (StatefulHandle<T>) {
    target->load_state_dict(value);
  } else {
    target.load_state_dict(value);
  }
}

template <typename T>
concept LoadTarget = requires(T& target, const Value& value) {
  assign(target, value);
};

}  // namespace detail

// Saves object.state_dict(): of a module handle, a pointer to a module, an optimizer, a Checkpoint.
// `to` is a path or a binary stream.
template <detail::Stateful T, typename To>
void save(const T& object, To&& to, const SaveOptions& options = {}) {
  if constexpr (detail::StatefulHandle<T>) {
    save(Value(object->state_dict()), to, options);
  } else {
    save(Value(object.state_dict()), to, options);
  }
}

// save({x, y}, path)
template <typename To>
void save(std::initializer_list<Tensor> tensors, To&& to, const SaveOptions& options = {}) {
  save(Value(std::vector<Tensor>(tensors)), to, options);
}

// libtorch's form, into a variable: load(tensor, path), load(tensors, path), load(module, path) and
// load(optimizer, path), the last two by load_state_dict(), which changes all or nothing. Takes the
// arguments of any load() above after the target; throws what that throws, and TypeError when the
// file holds something else.
template <detail::LoadTarget T, typename... From>
void load(T& target, From&&... from) {
  detail::assign(target, load(std::forward<From>(from)...));
}

}  // namespace tarn
