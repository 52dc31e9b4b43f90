// Tensor: the class (its state in tensor_base.h, its operations in ops.h), ways to make one, to
// index one and to print one.
#pragma once

#include "tarn/core/factories.h"
#include "tarn/core/indexing.h"
#include "tarn/core/ops.h"
#include "tarn/core/print.h"
