// Every pointwise kernel against the op's formula evaluated here, one element at a time. That the
// formulas are right is tested in tests/core.
#include "tarn/kernels/pointwise_ops.h"

#include <array>
#include <cmath>

#include "tarn/kernels/convert.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

using Arrays = std::vector<Array>;

// Exact in every dtype, inside most domains, and no divisor is 0.
double sample(int64_t i, int input, ScalarType type) {
  const int64_t step = (i * 7 + input * 5) % 15 + 1;
  if (type == kBool) return static_cast<double>(step % 2);
  return is_floating_point(type) ? static_cast<double>(step) / 16 : static_cast<double>(step);
}

template <class V, class Op, size_t... I>
V evaluate(const Op& op, const Arrays& in, int64_t i, std::index_sequence<I...>) {
  return op.forward(static_cast<V>(in[I].numel() == 1 ? in[I].get(0) : in[I].get(i))...);
}

double tolerance(ScalarType type) {
  switch (type) {
    case kHalf:
      return 1e-3;
    case kBFloat16:
      return 8e-3;
    case kFloat:
      return 4e-6;
    case kDouble:
      return 1e-13;
    default:
      return 0;
  }
}

bool close(double got, double wanted, double tolerance) {
  if (std::isnan(wanted) || std::isinf(wanted) || tolerance == 0)
    return got == wanted || (std::isnan(got) && std::isnan(wanted));
  return std::abs(got - wanted) <= tolerance * std::max(1.0, std::abs(wanted));
}

// Runs op on `in`, arrays of the shape of `out` or one number each: in CPU memory where `on_host`.
template <class V, class Op>
void check(const Op& op, const Arrays& in, const Array& out, unsigned on_host = 0) {
  PointwiseArgs args{};
  args.op = index_of<Op, op::PointwiseKernels>;
  args.num_inputs = Op::kArity;
  args.compute = ScalarTypeOf<V>;
  args.params = &op;
  args.out = out.view();
  args.on_host = on_host;
  args.flat = args.out.is_contiguous() && args.out.dtype == args.compute;
  const std::vector<int64_t> zeros(static_cast<size_t>(args.out.ndim));
  double numbers[4];
  for (int k = 0; k < Op::kArity; ++k) {
    const Array& array = in[static_cast<size_t>(k)];
    args.in[k] = array.view();
    if (array.numel() == 1 && out.numel() != 1) {
      args.in[k].sizes = args.out.sizes, args.in[k].ndim = args.out.ndim;
      args.in[k].strides = zeros.data();
    }
    if (on_host >> k & 1) {
      numbers[k] = array.get(0);
      args.in[k].data = &numbers[k], args.in[k].dtype = kDouble;
    }
    args.flat = args.flat && args.in[k].is_contiguous() && args.in[k].dtype == args.compute;
  }
  std::vector<double> wanted;
  for (int64_t i = 0; i < out.numel(); ++i) {
    const V y = evaluate<V>(op, in, i, std::make_index_sequence<Op::kArity>{});
    wanted.push_back(
        visit(out.dtype(), [&]<class T>(T) { return static_cast<double>(convert<T, V>(y)); }));
  }
  tested().pointwise(args);
  int64_t wrong = -1;
  for (int64_t i = 0; i < out.numel() && wrong < 0; ++i) {
    if (!close(out.get(i), wanted[static_cast<size_t>(i)], tolerance(out.dtype()))) wrong = i;
  }
  INFO("element " << wrong << " of " << out.numel());
  if (wrong >= 0) CHECK(out.get(wrong) == wanted[static_cast<size_t>(wrong)]);
  CHECK(out.guards_intact());
}

Array filled(ScalarType dtype, std::vector<int64_t> sizes, int input,
             Layout layout = Layout::kContiguous) {
  Array array(dtype, std::move(sizes), layout);
  array.fill_with([&](int64_t i) { return sample(i, input, dtype); });
  return array;
}
// An input for each of the op's arguments, in turn of the given dtypes and layouts.
template <class Op>
Arrays inputs(const std::vector<ScalarType>& dtypes, const std::vector<int64_t>& sizes,
              const std::vector<Layout>& layouts = {Layout::kContiguous}) {
  Arrays in;
  for (size_t k = 0; k < Op::kArity; ++k) {
    in.push_back(
        filled(dtypes[k % dtypes.size()], sizes, static_cast<int>(k), layouts[k % layouts.size()]));
  }
  return in;
}

// Calls f.operator()<V, Op>() for every op that has a kernel computing in V.
template <class V, class F, class... Ops>
void for_each_op(F f, List<Ops...>) {
  const auto call = [&]<class Op>(std::type_identity<Op>) {
    if constexpr (op::kComputesIn<V, Op>) {
      constexpr int kNumber = index_of<Op, op::PointwiseKernels>;
      INFO(Op::kName << ", op " << kNumber << ", computed in " << ScalarTypeOf<V>);
      f.template operator()<V, Op>();
    }
  };
  (call(std::type_identity<Ops>{}), ...);
}
template <class F>
void for_each_op(F f) {
  for_each_op<float>(f, op::PointwiseKernels{});
  for_each_op<double>(f, op::PointwiseKernels{});
  for_each_op<int64_t>(f, op::PointwiseKernels{});
}

TEST_CASE("every pointwise kernel is right on contiguous memory") {
  for_each_isa_and_device([] {
    for_each_op([]<class V, class Op>() {
      constexpr ScalarType kType = ScalarTypeOf<V>;
      check<V>(Op{}, inputs<Op>({kType}, {1003}), Array(kType, {1003}));
      check<V>(Op{}, inputs<Op>({kType}, {3}), Array(kType, {3}));
    });
  });
}

TEST_CASE("every pointwise kernel is right over any layout and mixed dtypes") {
  for_each_device([] {
    for_each_op([]<class V, class Op>() {
      constexpr ScalarType kType = ScalarTypeOf<V>;
      const std::vector<Layout> layouts = {Layout::kTransposed, Layout::kSliced, Layout::kBroadcast,
                                           Layout::kContiguous};
      const std::vector<ScalarType> types = std::is_same_v<V, int64_t>
                                                ? std::vector{kInt, kByte, kLong, kShort}
                                                : std::vector{kHalf, kFloat, kInt, kBFloat16};
      check<V>(Op{}, inputs<Op>(types, {5, 1, 31}, layouts), Array(kType, {5, 1, 31}));
      check<V>(Op{}, inputs<Op>({kType}, {17, 9}, layouts),
               Array(kBool, {17, 9}, Layout::kTransposed));
    });
  });
}

TEST_CASE("16-bit floats are computed in float and rounded once") {
  for_each_device([] {
    for_each_op<float>(
        []<class V, class Op>() {
          for (const ScalarType type : {kHalf, kBFloat16}) {
            check<V>(Op{}, inputs<Op>({type}, {523}), Array(type, {523}));
          }
        },
        op::PointwiseKernels{});
  });
}

TEST_CASE("one number stands for a whole operand, from the device or from the CPU") {
  for_each_device([] {
    const std::vector<int64_t> one, many = {1001};
    const auto add = [](ScalarType type, const std::vector<int64_t>& a,
                        const std::vector<int64_t>& b, const Array& out, unsigned on_host) {
      Arrays in;
      in.push_back(filled(type, a, 0));
      in.push_back(filled(type, b, 1));
      check<float>(op::Add{}, in, out, on_host);
    };
    for (const unsigned on_host : {0u, 1u, 2u, 3u}) {
      add(kFloat, one, one, Array(kFloat, many), on_host);
      add(kFloat, one, one, Array(kFloat, {7, 9}, Layout::kTransposed), on_host);
    }
    for (const unsigned on_host : {0u, 1u}) {
      add(kFloat, one, many, Array(kFloat, many), on_host);
      add(kHalf, one, many, Array(kHalf, many), on_host);
      add(kFloat, many, one, Array(kBool, many), on_host * 2);
    }
  });
}

TEST_CASE("rows of whole vectors, beside gaps, a row or a column that is repeated") {
  for_each_device([] {
    for (const ScalarType dtype : {kFloat, kDouble, kHalf, kBFloat16, kLong}) {
      const int64_t rows = 5, columns = 48, wide = 64, sizes[] = {rows, columns};
      Array a(dtype, {rows, wide}), b(dtype, {rows, wide});
      a.fill_with([](int64_t i) { return i % 50; });
      b.fill_with([](int64_t i) { return i % 43; });
      const auto with = [&](Array& array, std::vector<int64_t>& strides) {
        View view = array.view();
        view.ndim = 2, view.sizes = sizes, view.strides = strides.data();
        return view;
      };
      std::vector<int64_t> gaps{wide, 1}, dense{columns, 1};
      for (std::vector<int64_t> repeated : {gaps, {0, 1}, {1, 0}, {wide, 0}, {columns - 1, 1}}) {
        for (const bool swapped : {false, true}) {
          Array out(dtype, {rows, columns});
          const View x = with(a, gaps), y = with(b, repeated);
          const ScalarType compute = compute_type(dtype);
          op::Add sub;
          sub.alpha = {-1, -1};
          PointwiseArgs args{index_of<op::Add, op::PointwiseKernels>,
                             2,
                             compute,
                             &sub,
                             false,
                             with(out, dense),
                             {x, y}};
          if (swapped) std::swap(args.in[0], args.in[1]);
          tested().pointwise(args);
          INFO(dtype << ", strides " << repeated[0] << ' ' << repeated[1] << ", " << swapped);
          for (int64_t i = 0; i < rows * columns; ++i) {
            const int64_t row = i / columns, column = i % columns;
            const double p = a.get(row * wide + column);
            const double q = b.get(row * repeated[0] + column * repeated[1]);
            const double expected = swapped ? q - p : p - q;
            if (out.get(i) != expected) CHECK(out.get(i) == expected);
          }
          CHECK(out.guards_intact());
        }
      }
    }
  });
}

TEST_CASE("an operation in place, and arrays that begin anywhere") {
  for_each_device([] {
    for (const int64_t offset : {0, 1, 3}) {
      Array x = filled(kFloat, {1000 + offset}, 0);
      const std::vector<double> before = x.values();
      View view = x.view();
      const int64_t n = 1000;
      view.data = static_cast<char*>(view.data) + offset * 4;
      view.sizes = &n;
      const op::Mul mul;
      tested().pointwise(
          {index_of<op::Mul, op::PointwiseKernels>, 2, kFloat, &mul, true, view, {view, view}});
      bool same = true;
      for (int64_t i = 0; i < n + offset; ++i) {
        const double was = before[static_cast<size_t>(i)];
        same = same && x.get(i) == (i < offset ? was : was * was);
      }
      CHECK(same);
    }
  });
}

}  // namespace
}  // namespace tarn::testing
