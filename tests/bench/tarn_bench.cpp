// Tarn's side of the comparison; see compare.py.
#include <tarn/tarn.h>

namespace lib = tarn;
#include "tarn/tests/bench/cases.h"

int main(int argc, char** argv) {
  return bench::run<lib::AutoGradMode>(argc, argv, bench::cases(),
                                       [](int n) { tarn::set_num_threads(n); });
}
