#pragma once
// All of tarn::data: datasets, transforms, samplers and the loader.

#include "tarn/io/data/data_loader.h"
#include "tarn/io/data/dataset.h"
#include "tarn/io/data/example.h"
#include "tarn/io/data/idx.h"
#include "tarn/io/data/mnist.h"
#include "tarn/io/data/samplers.h"
#include "tarn/io/data/tensor_dataset.h"
#include "tarn/io/data/transforms.h"

namespace tarn::data {
using datasets::BatchDataset;
using datasets::Dataset;
}  // namespace tarn::data
