#pragma once
// StateDict: what Module::state_dict() returns and load_state_dict() takes.

#include <cstdint>
#include <string>

#include "tarn/core/ordered_dict.h"
#include "tarn/core/tensor.h"

namespace tarn {

// Full name ("hidden.weight") -> tensor, in registration order, with PyTorch's `_metadata`.
// Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.state_dict
struct StateDict : OrderedDict<std::string, Tensor> {
  using OrderedDict<std::string, Tensor>::OrderedDict;

  // Module path -> version of that module's serialised form: one entry per module, parents before
  // children, "" for the root. PyTorch's number is 1, and 2 for batch norm. Files keep it; a
  // StateDict made by hand may leave it empty, which PyTorch reads as "no versions known".
  OrderedDict<std::string, int64_t> metadata;
};

}  // namespace tarn
