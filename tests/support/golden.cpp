#include "tarn/tests/support/golden.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <set>
#include <sstream>

namespace tarn::testing {

Golden::Golden(const std::string& file) {
  for (const auto& item : load(std::string(TARN_GOLDEN_DIR "/") + file).to_tensor_dict()) {
    tensors_.emplace(item.key(), item.value());
  }
}

const Tensor& Golden::operator[](const std::string& key) const {
  const auto found = tensors_.find(key);
  TARN_CHECK(found != tensors_.end(), "the golden file has no ", key);
  return found->second;
}

std::vector<std::string> Golden::cases() const {
  std::set<std::string> names;
  for (const auto& [key, tensor] : tensors_) names.insert(key.substr(0, key.rfind('/')));
  return {names.begin(), names.end()};
}

std::vector<Tensor> Golden::list(const std::string& name, const std::string& stem) const {
  const std::string key = name + "/" + stem;
  if (contains(key)) return {(*this)[key]};
  std::vector<Tensor> tensors;
  while (contains(key + std::to_string(tensors.size()))) {
    tensors.push_back((*this)[key + std::to_string(tensors.size())]);
  }
  return tensors;
}

std::vector<std::pair<std::string, std::string>> read_text_cases(const std::string& file) {
  std::ifstream in(TARN_GOLDEN_DIR "/" + file);
  TARN_CHECK(in.good(), "cannot open the golden file ", file);
  std::vector<std::pair<std::string, std::string>> cases;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("=== ", 0) == 0) {
      cases.emplace_back(line.substr(4), "");
    } else {
      std::string& text = cases.back().second;
      text += (text.empty() ? "" : "\n") + line;
    }
  }
  return cases;
}

Tolerance tolerance(ScalarType dtype) {
  if (dtype == kDouble) return {1e-11, 1e-13};
  if (dtype == kFloat) return {3e-6, 3e-7};
  if (dtype == kHalf) return {2e-3, 1e-6};
  if (dtype == kBFloat16) return {2e-2, 1e-6};
  return {};
}

std::string difference(const Tensor& actual, const Tensor& wanted) {
  return difference(actual, wanted, tolerance(wanted.scalar_type()));
}

std::string difference(const Tensor& actual, const Tensor& wanted, Tolerance allowed) {
  std::ostringstream text;
  if (!actual.defined()) return "an undefined tensor";
  if (actual.scalar_type() != wanted.scalar_type()) {
    text << "dtype " << actual.scalar_type() << ", not " << wanted.scalar_type();
    return text.str();
  }
  if (actual.sizes() != wanted.sizes()) {
    text << "shape " << actual.sizes() << ", not " << wanted.sizes();
    return text.str();
  }
  // Every int64 of the golden files is exact as a double.
  const Tensor a = actual.detach().to(kDouble).contiguous();
  const Tensor w = wanted.detach().to(kDouble).contiguous();
  const double* got = a.data_ptr<double>();
  const double* want = w.data_ptr<double>();
  double worst = 0;
  int64_t place = -1, wrong = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    const double excess =
        std::abs(got[i] - want[i]) / (allowed.absolute + allowed.relative * std::abs(want[i]));
    if (excess <= 1) continue;
    ++wrong;
    // NaN compares false: it stays where it is found first.
    if (place < 0 || excess > worst) {
      worst = excess;
      place = i;
    }
  }
  if (wrong == 0) return "";
  text.precision(17);
  text << wrong << " of " << a.numel() << " elements; element " << place << " is " << got[place]
       << ", not " << want[place];
  return text.str();
}

namespace {

// Appends what is wrong with one case to `failures`.
void compare_case(const Golden& golden, const std::string& name, const Operation& operation,
                  std::vector<std::string>& failures) {
  const auto report = [&](const std::string& what, const std::string& text) {
    if (!text.empty()) failures.push_back(name + ": " + what + ": " + text);
  };
  std::vector<Tensor> inputs;
  for (const Tensor& x : golden.list(name, "x")) {
    const bool differentiated = golden.contains(name + "/grad" + std::to_string(inputs.size()));
    inputs.push_back(x.clone().requires_grad_(differentiated));
  }
  const std::vector<Tensor> outputs = operation(inputs), wanted = golden.list(name, "out");
  if (outputs.size() != wanted.size()) {
    report("results", str(outputs.size(), ", not ", wanted.size()));
    return;
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    report(str("result ", i), difference(outputs[i], wanted[i]));
  }
  if (!golden.contains(name + "/gout")) return;
  outputs[0].backward(golden[name + "/gout"]);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string key = name + "/grad" + std::to_string(i);
    if (golden.contains(key)) {
      report(str("gradient ", i), difference(inputs[i].grad(), golden[key]));
    }
  }
}

}  // namespace

std::vector<std::string> compare_all(const Golden& golden, const Operations& operations,
                                     const std::vector<std::string>& other) {
  std::vector<std::string> failures;
  std::set<std::string> unused;
  for (const auto& [name, operation] : operations) unused.insert(name);
  for (const std::string& name : golden.cases()) {
    const std::string family = name.substr(0, name.find_first_of("./"));
    if (std::find(other.begin(), other.end(), family) != other.end()) continue;
    auto found = operations.find(name);
    if (found == operations.end()) found = operations.find(name.substr(0, name.find('.')));
    if (found == operations.end()) {
      failures.push_back(name + ": no operation");
      continue;
    }
    unused.erase(found->first);
    try {
      compare_case(golden, name, found->second, failures);
    } catch (const std::exception& error) {
      failures.push_back(name + ": threw: " + error.what());
    }
  }
  for (const std::string& name : unused) failures.push_back(name + ": no case");
  return failures;
}

}  // namespace tarn::testing
