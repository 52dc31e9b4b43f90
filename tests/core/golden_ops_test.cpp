// Reductions, products, indexing, sorting and shapes against PyTorch's results and gradients
// (tests/golden/ops.py).
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
using namespace tarn::indexing;
using tarn::testing::Golden;
using tarn::testing::operation;
using tarn::testing::Operations;
using Tensors = std::vector<Tensor>;
using T = Tensor;

Tensors both(const std::tuple<Tensor, Tensor>& pair) {
  return {std::get<0>(pair), std::get<1>(pair)};
}

// "m1" for -1
std::string tag_of(int64_t number) {
  return number < 0 ? "m" + std::to_string(-number) : std::to_string(number);
}

void add_reductions_over_dims(Operations& ops) {
  using Dims = std::vector<int64_t>;
  for (const Dims& dims : {Dims{0}, Dims{1}, Dims{2}, Dims{0, 2}, Dims{-1, -2}, Dims{0, 1, 2}}) {
    std::string tag;
    for (const int64_t dim : dims) tag += (tag.empty() ? "." : "_") + tag_of(dim);
    for (const bool keep : {false, true}) {
      const std::string end = tag + (keep ? ".keep" : "");
      const auto add = [&](const char* name, auto f) { ops[name + end] = operation(f); };
      add("sum", [=](const T& x) { return x.sum(dims, keep); });
      add("mean", [=](const T& x) { return x.mean(dims, keep); });
      add("amax", [=](const T& x) { return x.amax(dims, keep); });
      add("var", [=](const T& x) { return x.var(dims, true, keep); });
      add("std_biased", [=](const T& x) { return x.std(dims, false, keep); });
      add("norm", [=](const T& x) { return x.norm(2, dims, keep); });
      add("logsumexp", [=](const T& x) { return x.logsumexp(dims, keep); });
    }
  }
}

void add_reductions(Operations& ops) {
  add_reductions_over_dims(ops);
  const auto add = [&](const std::string& name, auto f) { ops[name] = operation(f); };
  add("sum", [](const T& x) { return x.sum(); });
  add("sum.empty_dim", [](const T& x) { return x.sum(0); });
  add("mean", [](const T& x) { return x.mean(); });
  add("prod", [](const T& x) { return x.prod(); });
  add("prod.dim", [](const T& x) { return x.prod(1); });
  add("max", [](const T& x) { return x.max(); });
  add("min", [](const T& x) { return x.min(); });
  add("var", [](const T& x) { return x.var(); });
  add("std", [](const T& x) { return x.std(); });
  add("norm", [](const T& x) { return x.norm(); });
  const double inf = std::numeric_limits<double>::infinity();
  const std::pair<const char*, double> norms[] = {
      {"0", 0}, {"1", 1}, {"3", 3}, {"inf", inf}, {"minf", -inf}};
  for (const auto& [name, p] : norms) {
    add(std::string("norm_") + name, [p = p](const T& x) { return x.norm(p, IntArrayRef{1}); });
  }
  ops["max.dim"] = ops["max.ties"] = [](const Tensors& x) { return both(x[0].max(1)); };
  ops["min.dim"] = ops["min.ties"] = [](const Tensors& x) { return both(x[0].min(1)); };
  ops["max.dim_keep"] = [](const Tensors& x) { return both(x[0].max(-1, true)); };
  ops["min.dim_keep"] = [](const Tensors& x) { return both(x[0].min(-1, true)); };
  add("argmax.all", [](const T& x) { return x.argmax(); });
  add("argmin.all", [](const T& x) { return x.argmin(); });
  add("argmax.ties", [](const T& x) { return x.argmax(1); });
  add("argmin.ties", [](const T& x) { return x.argmin(1); });
  add("argmax.keep", [](const T& x) { return x.argmax(0, true); });
  add("argmin.keep", [](const T& x) { return x.argmin(0, true); });
  add("any.all", [](const T& x) { return x.any(); });
  add("all.all", [](const T& x) { return x.all(); });
  add("any.dim", [](const T& x) { return x.any(1); });
  add("all.dim", [](const T& x) { return x.all(1); });
  add("any.keep", [](const T& x) { return x.any(0, true); });
  add("all.keep", [](const T& x) { return x.all(0, true); });
}

void add_along_a_dim(Operations& ops) {
  const auto add = [&](const std::string& name, auto f) { ops[name] = operation(f); };
  const std::pair<const char*, int64_t> dims[] = {{".0", 0}, {".1", 1}, {".m1", -1}, {".wide", 1}};
  for (const auto& [tag, dim] : dims) {
    add(std::string("softmax") + tag, [dim = dim](const T& x) { return softmax(x, dim); });
    add(std::string("log_softmax") + tag, [dim = dim](const T& x) { return log_softmax(x, dim); });
  }
  add("logsumexp.wide", [](const T& x) { return logsumexp(x, 1); });
  add("cumsum", [](const T& x) { return x.cumsum(0); });
  add("cumsum.m1", [](const T& x) { return x.cumsum(-1); });
  add("cumprod", [](const T& x) { return x.cumprod(1); });
  ops["sort"] = [](const Tensors& x) { return both(x[0].sort()); };
  ops["sort.descending"] = [](const Tensors& x) { return both(x[0].sort(-1, true)); };
  ops["sort.dim0"] = [](const Tensors& x) { return both(x[0].sort(0)); };
  add("argsort", [](const T& x) { return x.argsort(); });
  ops["topk"] = [](const Tensors& x) { return both(x[0].topk(3)); };
  ops["topk.smallest"] = [](const Tensors& x) { return both(x[0].topk(2, 0, false)); };
}

void add_linear_algebra(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("mm", [](const T& a, const T& b) { return mm(a, b); });
  add("mm.transposed", [](const T& a, const T& b) { return a.t().mm(b.t()); });
  add("addmm", [](const T& c, const T& a, const T& b) { return addmm(c, a, b, 0.5, 2.0); });
  add("matmul", [](const T& a, const T& b) { return matmul(a, b); });
  add("bmm", [](const T& a, const T& b) { return bmm(a, b); });
  add("mv", [](const T& a, const T& b) { return mv(a, b); });
  add("dot", [](const T& a, const T& b) { return dot(a, b); });
  add("outer", [](const T& a, const T& b) { return outer(a, b); });
  add("linear", [](const T& x, const T& w, const T& b) { return linear(x, w, b); });
}

void add_indexing(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("gather", [](const T& x, const T& i) { return x.gather(1, i); });
  add("index_select", [](const T& x, const T& i) { return x.index_select(1, i); });
  add("scatter", [](const T& x, const T& i, const T& s) { return x.scatter(1, i, s); });
  add("scatter_add", [](const T& x, const T& i, const T& s) { return x.scatter_add(1, i, s); });
  add("index_add", [](const T& x, const T& i, const T& s) { return x.index_add(0, i, s); });
  add("index", [](const T& x, const T& i, const T& j) { return x.index({i, Slice(), j}); });
  add("index_mask", [](const T& x, const T& mask) { return x.index({mask}); });
  add("masked_select", [](const T& x, const T& mask) { return x.masked_select(mask); });
  add("index_put", [](const T& x, const T& i, const T& v) { return x.clone().index_put_({i}, v); });
  ops["index_put_accumulate"] = [](const Tensors& x) {
    return Tensors{x[0].clone().index_put_({x[1]}, x[2], /*accumulate=*/true)};
  };
  add("nonzero", [](const T& x) { return x.nonzero(); });
  add("one_hot", [](const T& x) { return one_hot(x); });
}

void add_shapes(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("cat", [](const T& a, const T& b) { return cat({a, b}, 1); });
  add("stack", [](const T& a, const T& b) { return stack({a, b}, -1); });
  add("permute", [](const T& x) { return x.permute({2, 0, 1}); });
  add("movedim", [](const T& x) { return x.movedim(0, 2); });
  add("flip", [](const T& x) { return x.flip({0, 2}); });
  add("repeat", [](const T& x) { return x.repeat({2, 1, 3}); });
  add("expand", [](const T& x) { return x.expand({2, 3, -1}); });
  add("slice", [](const T& x) { return x.index({Slice(), Slice(1), Slice(None, None, 2)}); });
  add("narrow", [](const T& x) { return x.narrow(2, 1, 2); });
  add("select", [](const T& x) { return x.select(1, -1); });
  add("diagonal", [](const T& x) { return x.diagonal(1, 1, 2); });
  add("unfold", [](const T& x) { return x.unfold(2, 3, 1); });
  add("tril", [](const T& x) { return x.tril(); });
  add("triu", [](const T& x) { return x.triu(1); });
}

const Golden& golden() {
  static const Golden file("ops.safetensors");
  return file;
}

}  // namespace

TEST_CASE("tensor operations give PyTorch's values and gradients") {
  Operations ops;
  add_reductions(ops);
  add_along_a_dim(ops);
  add_linear_algebra(ops);
  add_indexing(ops);
  add_shapes(ops);
  for (const auto& failure : tarn::testing::compare_all(golden(), ops, {"factory"})) {
    FAIL_CHECK(failure);
  }
}

TEST_CASE("factories give PyTorch's values") {
  const std::pair<const char*, Tensor> made[] = {
      {"arange.4", tarn::arange(4)},
      {"arange.2_9_3", tarn::arange(2, 9, 3)},
      {"arange.0_1_0.1", tarn::arange(0, 1, 0.1)},
      {"arange.5_0_m2", tarn::arange(5, 0, -2)},
      {"arange.f", tarn::arange(3.0)},
      {"linspace.0_1_7", tarn::linspace(0, 1, 7)},
      {"linspace.3_m2_5", tarn::linspace(3, -2, 5)},
      {"linspace.1", tarn::linspace(2, 9, 1)},
      {"linspace.f64", tarn::linspace(-1, 1, 11, kDouble)},
      {"eye.3", tarn::eye(3)},
      {"eye.2_4", tarn::eye(2, 4)},
      {"full.int", tarn::full({2, 2}, 7)},
      {"full.float", tarn::full({2}, 1.5)},
  };
  for (const auto& [name, value] : made) {
    INFO(name);
    const Tensor wanted = golden()["factory." + std::string(name) + "/out"];
    CHECK(tarn::testing::difference(value, wanted, {0, 1e-7}) == "");
  }
}
