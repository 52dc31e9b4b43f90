// The walk that backward() and grad() share. Internal.
#pragma once

#include "tarn/core/node.h"

namespace tarn {

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
  // Where gradients are wanted; empty: at every leaf.
  TensorList inputs = {};
  // If set, the gradients of `inputs` are stored here instead of being accumulated.
  Tensor* captured = nullptr;
};

// Seeds `roots` with `gradients` (missing or undefined: 1, for one element) and runs every node
// between them and the inputs once, in falling sequence number, so each node sees its whole
// gradient.
void run_backward(TensorList roots, TensorList gradients, const BackwardOptions& options);

}  // namespace tarn
