// Golden data: results PyTorch gave, kept in tests/golden/ with the scripts that made them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <tarn/tarn.h>

namespace tarn::testing {

// The tensors of one file, by key. A key is "case/tensor".
class Golden {
 public:
  // `file` is a name in tests/golden/, as "ops.safetensors".
  explicit Golden(const std::string& file);

  // Throws Error when the file has no such tensor.
  const Tensor& operator[](const std::string& key) const;
  bool contains(const std::string& key) const { return tensors_.count(key) != 0; }
  // The distinct cases, sorted.
  std::vector<std::string> cases() const;
  // case/stem0, case/stem1, ... up to the first that is absent, or the one tensor case/stem.
  std::vector<Tensor> list(const std::string& name, const std::string& stem) const;

 private:
  std::map<std::string, Tensor> tensors_;
};

// The cases of a text file in tests/golden/: a line "=== name" and the text up to the next one.
std::vector<std::pair<std::string, std::string>> read_text_cases(const std::string& file);

struct Tolerance {
  double relative = 0, absolute = 0;
};
// What two correct implementations of one formula may differ by, for results of this dtype.
Tolerance tolerance(ScalarType dtype);

// "" when `actual` has the dtype and the shape of `wanted` and each element is within the tolerance
// (NaN where there is NaN, the same infinity where there is one); else a text naming the worst
// element.
std::string difference(const Tensor& actual, const Tensor& wanted, Tolerance allowed);
std::string difference(const Tensor& actual, const Tensor& wanted);

// An operation under test, from operands to results.
using Operation = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
// By case name, or by the part of it before the first dot.
using Operations = std::map<std::string, Operation>;

// Runs every case of the file, except the families (first part of the name) in `other`, and
// compares results and gradients. Returns one line per failure: a case that differs, throws, or has
// no operation, and an operation that has no case.
std::vector<std::string> compare_all(const Golden& golden, const Operations& operations,
                                     const std::vector<std::string>& other = {});

// Makes an Operation of a function of one, two or three tensors that returns a tensor.
template <typename F>
Operation operation(F f) {
  return [f](const std::vector<Tensor>& x) -> std::vector<Tensor> {
    if constexpr (std::is_invocable_v<F, const Tensor&>) {
      return {f(x.at(0))};
    } else if constexpr (std::is_invocable_v<F, const Tensor&, const Tensor&>) {
      return {f(x.at(0), x.at(1))};
    } else {
      return {f(x.at(0), x.at(1), x.at(2))};
    }
  };
}

}  // namespace tarn::testing
