// libtorch's side of the comparison; see compare.py.
#include <torch/torch.h>

namespace lib = torch;
#include "tarn/tests/bench/cases.h"

int main(int argc, char** argv) {
  return bench::run<lib::AutoGradMode>(argc, argv, bench::cases(),
                                       [](int n) { torch::set_num_threads(n); });
}
