#pragma once
// Checkpoint: all that a training program needs to go on after a stop.
//
//   Checkpoint checkpoint;
//   checkpoint.add("model", net).add("optimizer", optimizer).add("loader", *loader);
//   save(checkpoint, "checkpoint.pt");  // and in the next run: load(checkpoint, "checkpoint.pt");
//
// On the CPU a program that loads it computes, to the last bit, what the one that saved it would
// have computed next. CheckpointManager (io/checkpoint_manager.h) keeps a folder of them.

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tarn/io/serialize.h"
#include "tarn/nn/module.h"
#include "tarn/nn/optim/optimizer.h"

namespace tarn {

// Names the objects whose state makes up a checkpoint, and holds what else belongs in one. Saved
// and loaded as such an object is: save(checkpoint, path), load(checkpoint, path). In Python
// torch.load() gives a dict
//   {"model": ..., "optimizer": ..., ..., "rng": {"cpu": ..., "cuda:0": ...}, "step": 7,
//    "metadata": {...}}
// in which every part is what its state_dict() gives, except that optimizers know the parameters of
// the checkpoint's modules by name instead of by number, so that a program may list them in another
// order.
class Checkpoint {
 public:
  // Training steps made, for the program to count.
  int64_t step = 0;
  // The program's own data, saved and restored as it is.
  Value metadata = Value::dict();

  // A part of the checkpoint: a module handle, an optimizer, a scheduler, a data loader, anything
  // with state_dict() and load_state_dict(). It must live as long as the checkpoint is used. Throws
  // ValueError for a name that is taken.
  template <detail::Stateful T>
  Checkpoint& add(std::string name, T& object) {
    Part part{.name = std::move(name)};
    if constexpr (detail::StatefulHandle<T>) {
      part.save = [&object] { return Value(object->state_dict()); };
      part.load = [&object](const Value& value) { object->load_state_dict(value); };
    } else {
      part.save = [&object] { return Value(object.state_dict()); };
      part.load = [&object](const Value& value) { object.load_state_dict(value); };
    }
    if constexpr (requires { static_cast<nn::Module&>(*object); }) {
      part.module = [&object]() -> nn::Module& { return *object; };
    }
    if constexpr (std::derived_from<T, optim::Optimizer>) part.optimizer = &object;
    return add(std::move(part));
  }

  // The whole, with the state of the random number generators in use.
  Value state_dict() const;
  // Restores every part, the generators, step and metadata. The value may have other entries, and
  // may lack "rng", "step" and "metadata", as files of Python programs do; generators of devices
  // that are not there are left out. Throws ValueError naming the part if one is missing or does
  // not fit; then nothing has changed.
  void load_state_dict(const Value& state_dict);

 private:
  struct Part {
    std::string name;
    std::function<Value()> save{};
    std::function<void(const Value&)> load{};
    std::function<nn::Module&()> module{};  // of a module
    const optim::Optimizer* optimizer = nullptr;
  };
  Checkpoint& add(Part part);
  std::vector<std::string> parameter_names(const optim::Optimizer& optimizer) const;

  std::vector<Part> parts_;
};

}  // namespace tarn
