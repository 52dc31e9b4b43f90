// All of Tarn: #include <tarn/tarn.h>
#pragma once

#include "tarn/core/autograd.h"
#include "tarn/core/custom_function.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/indexing.h"
#include "tarn/core/ops.h"
#include "tarn/core/ordered_dict.h"
#include "tarn/core/print.h"
#include "tarn/core/random.h"
#include "tarn/core/state_dict.h"
#include "tarn/core/testing.h"
#include "tarn/core/value.h"
#include "tarn/device/allocator.h"
#include "tarn/device/check.h"
#include "tarn/device/device.h"
#include "tarn/device/parallel.h"
