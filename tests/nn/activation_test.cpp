#include "tarn/nn/activation.h"

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
namespace F = tarn::nn::functional;

namespace {

struct Case {
  const char* text;
  nn::AnyModule layer;
  std::vector<double> expected;  // PyTorch 2.13 at kInputs
};
const std::vector<double> kInputs = {-3, -1, -0.5, 0, 0.5, 1, 7};

std::vector<Case> cases() {
  return {
      {"ReLU()", nn::ReLU(), {0, 0, 0, 0, 0.5, 1, 7}},
      {"ReLU6()", nn::ReLU6(), {0, 0, 0, 0, 0.5, 1, 6}},
      {"Hardtanh(min_val=-1, max_val=1)", nn::Hardtanh(), {-1, -1, -0.5, 0, 0.5, 1, 1}},
      {"Hardtanh(min_val=-2, max_val=0.5)",
       nn::Hardtanh(nn::HardtanhOptions().min_val(-2).max_val(0.5)),
       {-2, -1, -0.5, 0, 0.5, 0.5, 0.5}},
      {"LeakyReLU(negative_slope=0.01)", nn::LeakyReLU(), {-0.03, -0.01, -0.005, 0, 0.5, 1, 7}},
      {"LeakyReLU(negative_slope=0.5)", nn::LeakyReLU(0.5), {-1.5, -0.5, -0.25, 0, 0.5, 1, 7}},
      {"ELU(alpha=1)",
       nn::ELU(),
       {-0.950212931632136, -0.6321205588285577, -0.3934693402873666, 0, 0.5, 1, 7}},
      {"SELU()",
       nn::SELU(),
       {-1.6705687287671118, -1.1113307378125625, -0.6917581878028713, 0, 0.5253504936777402,
        1.0507009873554805, 7.354906911488364}},
      {"SiLU()",
       nn::SiLU(),
       {-0.14227761953270035, -0.2689414213699951, -0.1887703343990727, 0, 0.3112296656009273,
        0.7310585786300049, 6.993622641639196}},
      {"Mish()",
       nn::Mish(),
       {-0.1456474612756246, -0.30340146137410895, -0.22074377465173, 0, 0.3752452113048951,
        0.8650983882673103, 6.999988379809741}},
      {"Softplus(beta=1, threshold=20)",
       nn::Softplus(),
       {0.04858735157374206, 0.31326168751822286, 0.4740769841801067, 0.6931471805599453,
        0.9740769841801067, 1.3132616875182228, 7.000911466453774}},
      {"LogSigmoid()",
       nn::LogSigmoid(),
       {-3.048587351573742, -1.3132616875182228, -0.9740769841801067, -0.6931471805599453,
        -0.4740769841801067, -0.31326168751822286, -0.0009114664537742447}},
      {"GELU()",
       nn::GELU(),
       {-0.00404969409489031, -0.15865525393145702, -0.15426876936299344, 0, 0.34573123063700656,
        0.841344746068543, 6.999999999991041}},
      {"GELU()",
       nn::GELU("tanh"),
       {-0.0036373920817729943, -0.15880800939172324, -0.15428599017485606, 0, 0.34571400982514394,
        0.8411919906082768, 6.999999999999997}},
      {"Sigmoid()",
       nn::Sigmoid(),
       {0.04742587317756678, 0.2689414213699951, 0.3775406687981454, 0.5, 0.6224593312018546,
        0.7310585786300049, 0.9990889488055994}},
      {"Tanh()",
       nn::Tanh(),
       {-0.9950547536867305, -0.7615941559557649, -0.46211715726000973, 0, 0.46211715726000973,
        0.7615941559557649, 0.9999983369439447}},
      {"Softmax(dim=0)",
       nn::Softmax(0),
       {4.5136871162739483e-05, 0.00033351887315168717, 0.0005498796603451245,
        0.0009065982923363685, 0.0014947278885553835, 0.0024643896637699518, 0.9942057487506788}},
      {"LogSoftmax(dim=0)",
       nn::LogSoftmax(0),
       {-10.005811103050334, -8.005811103050334, -7.505811103050333, -7.005811103050333,
        -6.505811103050333, -6.005811103050333, -0.005811103050333274}},
  };
}

}  // namespace

TEST_CASE("activations give PyTorch's values and print its text") {
  const Tensor x = tensor(kInputs, kDouble);
  for (const Case& c : cases()) {
    INFO(c.text);
    CHECK(str(*c.layer.ptr()) == std::string("tarn::nn::") + c.text);
    CHECK(c.layer.forward(x).allclose(tensor(c.expected, kDouble), 0, 1e-14));
    CHECK(c.layer.forward(x.to(kFloat)).allclose(tensor(c.expected), 1e-5, 1e-6));
  }
}

TEST_CASE("activations have right gradients of first and second order") {
  manual_seed(9);
  const Tensor x = (randn({2, 5}, kDouble) * 2).requires_grad_();
  for (const Case& c : cases()) {
    INFO(c.text);
    const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
      return c.layer.forward(in[0]);
    };
    CHECK(testing::gradcheck(f, {x}));
    CHECK(testing::gradgradcheck(f, {x}));
  }
}

TEST_CASE("inplace overwrites the input and gives the same gradient") {
  const auto check = [](auto function, auto options) {
    const Tensor x = tensor(kInputs, dtype(kDouble).requires_grad(true));
    const Tensor y = function(x * 1, options);
    y.sum().backward();
    const Tensor grad = x.grad().clone();
    x.mutable_grad().reset();
    const Tensor buffer = x * 1;
    const Tensor z = function(buffer, options.inplace(true));
    CHECK(z.data_ptr() == buffer.data_ptr());
    CHECK(buffer.equal(y));
    z.sum().backward();
    CHECK(x.grad().equal(grad));
  };
  check([](const Tensor& x, const auto& o) { return F::relu(x, o); }, nn::ReLUOptions());
  check([](const Tensor& x, const auto& o) { return F::relu6(x, o); }, nn::ReLU6Options());
  check([](const Tensor& x, const auto& o) { return F::selu(x, o); }, nn::SELUOptions());
  check([](const Tensor& x, const auto& o) { return F::elu(x, o); }, nn::ELUOptions(0.7));
  check([](const Tensor& x, const auto& o) { return F::leaky_relu(x, o); },
        nn::LeakyReLUOptions(0.2));
  check([](const Tensor& x, const auto& o) { return F::hardtanh(x, o); }, nn::HardtanhOptions());
  CHECK(str(nn::ReLU(true)) == "tarn::nn::ReLU(inplace=true)");
  CHECK(str(nn::ELU(nn::ELUOptions(42.42).inplace(true))) ==
        "tarn::nn::ELU(alpha=42.42, inplace=true)");
  CHECK(str(nn::SELU(true)) == "tarn::nn::SELU(inplace=true)");
}

TEST_CASE("the functional forms take plain values or options") {
  const Tensor x = tensor(kInputs);
  CHECK(
      F::leaky_relu(x, 0.5).equal(F::leaky_relu(x, F::LeakyReLUFuncOptions().negative_slope(0.5))));
  CHECK(F::softmax(x, 0).equal(nn::Softmax(0)(x)));
  CHECK(F::softmax(x, F::SoftmaxFuncOptions(0).dtype(kDouble)).dtype() == kDouble);
  CHECK(F::log_softmax(x, F::LogSoftmaxFuncOptions(0).dtype(kDouble)).dtype() == kDouble);
  CHECK(F::gelu(x, "tanh").equal(F::gelu(x, F::GELUFuncOptions().approximate("tanh"))));
  CHECK(F::softplus(x, F::SoftplusFuncOptions().beta(2).threshold(1))
            .equal(nn::Softplus(nn::SoftplusOptions().beta(2).threshold(1))(x)));
  CHECK(F::silu(x).equal(nn::SiLU()(x)));
  CHECK(F::logsigmoid(x).equal(nn::LogSigmoid()(x)));
}

TEST_CASE("options that make no sense are errors") {
  CHECK_THROWS_WITH_TEXT(nn::Hardtanh(nn::HardtanhOptions().min_val(1).max_val(0))(ones({1})),
                         "max_val must be greater than min_val");
  CHECK_THROWS_AS(nn::GELU("cubic")(ones({1})), Error);
  CHECK_THROWS_AS(nn::Softmax(2)(ones({3})), Error);
}

TEST_CASE("activations in ATen's form take their settings by position") {
  const Tensor x = tensor({-4.0, -0.5, 0.5, 8.0}, kDouble);
  CHECK(hardtanh(x, -1, 2).equal(tensor({-1.0, -0.5, 0.5, 2.0}, kDouble)));
  CHECK(relu6(x).equal(tensor({0.0, 0.0, 0.5, 6.0}, kDouble)));
  CHECK(selu(x).equal(nn::functional::selu(x)));
  CHECK(allclose(celu(x, 2), where(x > 0, x, 2 * (x / 2).expm1())));
}
