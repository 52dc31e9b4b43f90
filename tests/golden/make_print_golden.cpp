// Writes print.txt on its standard output: what libtorch 2.13 prints for every case of
// print_cases.h. Built and run by make_print_golden.sh.
#include <torch/torch.h>

#include <iostream>

namespace api = torch;
#include "tarn/tests/golden/print_cases.h"

int main() {
  for (const auto& [name, text] : print_cases()) {
    std::cout << "=== " << name << "\n" << text << "\n";
  }
}
