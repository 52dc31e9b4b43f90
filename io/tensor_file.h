#pragma once
// A file of tensors of which not all are wanted, or not as new tensors: open(), list(),
// load_into().
//
//   for (const TensorInfo& info : list("model.pt")) std::cout << info << '\n';
//   Tensor w = open("checkpoint.pt").at("model.fc.weight");
//   load_into(net, "mlp.params");   // into the parameters' own memory

#include <memory>
#include <string>
#include <vector>

#include "tarn/core/value.h"
#include "tarn/io/options.h"
#include "tarn/nn/module.h"

namespace tarn {

// A tensor as a file describes it.
struct TensorInfo {
  // Its keys and positions from the outermost container inwards, joined by dots:
  // "optimizer.state.0.exp_avg". "" for a file that is one tensor.
  std::string name;
  // "float32", or the file's own word for a dtype that Tarn does not have: "F8_E4M3".
  std::string dtype;
  std::vector<int64_t> sizes;

  bool operator==(const TensorInfo&) const = default;
};
// "fc.weight float32 [10, 256]"
std::ostream& operator<<(std::ostream& stream, const TensorInfo& info);

// An open file whose structure has been read and checked, and of whose tensors nothing has. Several
// threads may read from one.
class TensorFile {
 public:
  // "PyTorch", "PyTorch (legacy)", "safetensors", "safetensors index", "npy" or "npz".
  const char* format() const;
  // In the file's order; those of dtypes that Tarn does not have come last.
  const std::vector<TensorInfo>& tensors() const;
  // The file's value, as load() gives it, except that its tensors have dtypes, sizes and strides
  // only: their elements must not be read.
  const Value& outline() const;
  bool contains(const std::string& name) const;
  // Reads one tensor, or maps it under LoadOptions::mmap. Tensors of one storage do not share it
  // when they are read one by one. Throws IndexError for an unknown name, TypeError for a dtype
  // that Tarn does not have, IOError.
  Tensor at(const std::string& name) const;
  // Reads the state dict outline(), or its entry `key` if not empty, into the parameters and
  // buffers of `module`, by the rules of Module::load_state_dict(). Where dtypes agree, on the CPU,
  // bytes go straight into the module's memory. Names, shapes and checksums are checked first:
  // whatever is found wrong with the file, no parameter has changed. (What this cannot foresee is a
  // disk that fails, or a file that another program changes, between the check and the reading.)
  nn::LoadReport load_into(nn::Module& module, const nn::StateDictOptions& names = {},
                           const std::string& key = "") const;

 private:
  struct Contents;
  explicit TensorFile(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}
  friend TensorFile open(const std::string& path, const LoadOptions& options);

  std::shared_ptr<const Contents> contents_;
};

// Throws what load() throws for the same file, except for damage inside tensors.
TensorFile open(const std::string& path, const LoadOptions& options = {});

// The tensors of a file, in its order. Takes a time that depends on their number alone.
std::vector<TensorInfo> list(const std::string& path, const LoadOptions& options = {});

// open(path, options).load_into(module, names)
nn::LoadReport load_into(nn::Module& module, const std::string& path,
                         const LoadOptions& options = {}, const nn::StateDictOptions& names = {});
// For handles and pointers.
template <typename Handle>
requires requires(const Handle& handle) { static_cast<nn::Module&>(*handle); }
nn::LoadReport load_into(const Handle& handle, const std::string& path,
                         const LoadOptions& options = {}, const nn::StateDictOptions& names = {}) {
  return load_into(static_cast<nn::Module&>(*handle), path, options, names);
}

}  // namespace tarn
