#include "tarn/nn/loss.h"

#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
namespace F = tarn::nn::functional;

namespace {

Tensor doubles(std::vector<double> values) { return tensor(values, kDouble); }

void check_gradients(const testing::TensorFunction& f, const std::vector<Tensor>& inputs) {
  CHECK(testing::gradcheck(f, inputs));
  CHECK(testing::gradgradcheck(f, inputs));
}

struct Collector : WarningHandler {
  std::vector<std::string> texts;
  Collector() { set_warning_handler(this); }
  ~Collector() override { set_warning_handler(nullptr); }
  void process(const std::string& message) override { texts.push_back(message); }
};

}  // namespace

TEST_CASE("losses of distances give PyTorch's values") {
  const Tensor x = doubles({-2, -0.3, 0, 0.8, 3}), y = zeros({5}, kDouble);
  CHECK(F::l1_loss(x, y, kNone).allclose(doubles({2, 0.3, 0, 0.8, 3})));
  CHECK(F::mse_loss(x, y, kNone).allclose(doubles({4, 0.09, 0, 0.64, 9})));
  CHECK(F::smooth_l1_loss(x, y, F::SmoothL1LossFuncOptions(kNone).beta(0.5))
            .allclose(doubles({1.75, 0.09, 0, 0.55, 2.75})));
  CHECK(F::smooth_l1_loss(x, y, F::SmoothL1LossFuncOptions(kNone).beta(0))
            .equal(F::l1_loss(x, y, kNone)));
  CHECK(F::huber_loss(x, y, F::HuberLossFuncOptions(kNone).delta(0.5))
            .allclose(doubles({0.875, 0.045, 0, 0.275, 1.375})));
}

TEST_CASE("reductions: the mean by default, the sum, or every element") {
  const Tensor x = doubles({1, 2, 3}), y = doubles({0, 0, 0});
  CHECK(nn::MSELoss()(x, y).item<double>() == Approx(14.0 / 3));
  CHECK(nn::MSELoss(kSum)(x, y).item<double>() == 14);
  CHECK(nn::MSELoss(nn::MSELossOptions().reduction(kNone))(x, y).sizes() ==
        std::vector<int64_t>{3});
  CHECK(nn::L1Loss(nn::L1LossOptions(kSum))(x, y).item<double>() == 6);
}

TEST_CASE("cross entropy agrees with its definition, in every form of target") {
  manual_seed(1);
  const Tensor x = randn({4, 3}, kDouble), target = tensor({2, 0, 1, 2}),
               weight = doubles({1, 2, 0.5});
  const Tensor log_probs = x.log_softmax(1);
  const Tensor rows = -log_probs.gather(1, target.unsqueeze(1)).squeeze(1),
               w = weight.index_select(0, target);
  nn::CrossEntropyLossOptions weighted;
  weighted.weight(weight);

  CHECK(nn::CrossEntropyLoss()(x, target).allclose(rows.mean()));
  CHECK(F::cross_entropy(x, target, weighted.reduction(kNone)).allclose(rows * w));
  CHECK(
      F::cross_entropy(x, target, weighted.reduction(kMean)).allclose((rows * w).sum() / w.sum()));
  CHECK(F::nll_loss(log_probs, target, F::NLLLossFuncOptions().weight(weight))
            .allclose((rows * w).sum() / w.sum()));
  CHECK(F::cross_entropy(x[0], target[0]).allclose(rows[0]));
  // Class probabilities: one-hot ones are class numbers.
  const Tensor one_hot_target = one_hot(target, 3).to(kDouble);
  CHECK(F::cross_entropy(x, one_hot_target).allclose(rows.mean()));
  CHECK(F::cross_entropy(x, one_hot_target, weighted.reduction(kSum)).allclose((rows * w).sum()));
  CHECK(F::cross_entropy(x, one_hot_target, F::CrossEntropyFuncOptions().reduction(kNone))
            .allclose(rows));
  // An ignored target does not count.
  const Tensor some = tensor({2, -100, 1, -100});
  CHECK(F::cross_entropy(x, some).allclose((rows[0] + rows[2]) / 2));
  CHECK(F::cross_entropy(x, target, F::CrossEntropyFuncOptions().ignore_index(2))
            .allclose((rows[1] + rows[2]) / 2));
  // Images: classes are dimension 1.
  const Tensor image = x.reshape({2, 2, 3}).movedim(-1, 1);
  CHECK(F::cross_entropy(image, target.reshape({2, 2})).allclose(rows.mean()));
}

TEST_CASE("label smoothing mixes in the even distribution") {
  manual_seed(2);
  const Tensor x = randn({4, 3}, kDouble), target = tensor({2, 0, 1, 2}),
               weight = doubles({1, 2, 0.5});
  const auto smoothed = [](double s) { return nn::CrossEntropyLossOptions().label_smoothing(s); };
  const Tensor even = one_hot(target, 3).to(kDouble) * 0.8 + 0.2 / 3;
  CHECK(F::cross_entropy(x, target, smoothed(0.2)).allclose(F::cross_entropy(x, even)));
  CHECK(F::cross_entropy(x, target, smoothed(0.2).reduction(kNone))
            .allclose(F::cross_entropy(x, even, nn::CrossEntropyLossOptions().reduction(kNone))));
  CHECK(F::cross_entropy(x, one_hot(target, 3).to(kDouble), smoothed(0.2))
            .allclose(F::cross_entropy(x, even)));
  // By hand, with weights and an ignored target.
  const Tensor log_probs = x.log_softmax(1), w = weight.index_select(0, target);
  const Tensor keep = doubles({0, 1, 1, 0});
  const Tensor nll =
      -(log_probs.gather(1, target.unsqueeze(1)).squeeze(1) * w * keep).sum() / (w * keep).sum();
  const Tensor smooth = -((log_probs * weight).sum(1) * keep).sum() / (w * keep).sum();
  CHECK(F::cross_entropy(x, target, smoothed(0.2).weight(weight).ignore_index(2))
            .allclose(nll * 0.8 + smooth * (0.2 / 3)));
}

TEST_CASE("classification losses have right gradients of both orders") {
  manual_seed(3);
  const Tensor x = randn({4, 3}, kDouble).requires_grad_(), target = tensor({2, 0, 1, 2});
  const Tensor weight = doubles({1, 2, 0.5}),
               shares = randn({4, 3}, kDouble).softmax(1).detach().requires_grad_();
  for (const Reduction how : {kMean, kSum, kNone}) {
    auto options = nn::CrossEntropyLossOptions().reduction(how).weight(weight).label_smoothing(0.1);
    check_gradients([&](const auto& in) { return F::cross_entropy(in[0], target, options); }, {x});
    check_gradients([&](const auto& in) { return F::cross_entropy(in[0], in[1], options); },
                    {x, shares});
    check_gradients([&](const auto& in) { return F::kl_div(in[0].log_softmax(1), in[1], how); },
                    {x, shares});
  }
}

TEST_CASE("binary losses give PyTorch's values and gradients, at the ends as well") {
  const Tensor p = doubles({0.2, 0.9, 0.5, 1.0}).requires_grad_(), y = doubles({0, 1, 0.3, 0});
  const Tensor loss = F::binary_cross_entropy(p, y, nn::BCELossOptions().reduction(kNone));
  CHECK(
      loss.allclose(doubles({0.22314355131420976, 0.10536051565782628, 0.6931471805599453, 100})));
  loss.sum().backward();
  CHECK(p.grad().narrow(0, 0, 3).allclose(doubles({1.25, -1.1111111111111112, 0.8})));
  CHECK(p.grad()[3].item<double>() == Approx(1e12));

  const Tensor x = doubles({-800, -1, 0.5, 900}), target = doubles({0, 1, 0.3, 0}),
               weight = doubles({1, 2, 3, 1});
  CHECK(F::binary_cross_entropy_with_logits(x, target,
                                            nn::BCEWithLogitsLossOptions().reduction(kNone))
            .allclose(
                doubles({0, std::log1p(std::exp(1.0)), std::log1p(std::exp(0.5)) - 0.15, 900})));
  const Tensor inner = x.narrow(0, 1, 2), y2 = target.narrow(0, 1, 2), w = weight.narrow(0, 1, 2);
  const Tensor pos = doubles({5, 0.5});
  const Tensor by_hand =
      -(pos * y2 * inner.sigmoid().log() + (1 - y2) * (1 - inner.sigmoid()).log()) * w;
  CHECK(nn::BCEWithLogitsLoss(nn::BCEWithLogitsLossOptions().weight(w).pos_weight(pos))(inner, y2)
            .allclose(by_hand.mean()));
  CHECK(nn::BCELoss(nn::BCELossOptions().weight(w))(inner.sigmoid(), y2)
            .allclose(nn::BCEWithLogitsLoss(nn::BCEWithLogitsLossOptions().weight(w))(inner, y2)));
}

TEST_CASE("elementwise losses have right gradients of both orders, for prediction and target") {
  manual_seed(4);
  const Tensor x = randn({3, 4}, kDouble).requires_grad_(),
               y = randn({3, 4}, kDouble).requires_grad_();
  const Tensor p = rand({3, 4}, kDouble).mul_(0.8).add_(0.1).requires_grad_(),
               q = rand({3, 4}, kDouble).mul_(0.8).add_(0.1).requires_grad_();
  const Tensor pos = full({4}, 3.0, kDouble);
  for (const Reduction how : {kMean, kSum, kNone}) {
    check_gradients([&](const auto& in) { return F::mse_loss(in[0], in[1], how); }, {x, y});
    check_gradients([&](const auto& in) { return F::l1_loss(in[0], in[1], how); }, {x, y});
    check_gradients(
        [&](const auto& in) {
          return F::smooth_l1_loss(in[0], in[1], F::SmoothL1LossFuncOptions(how).beta(0.7));
        },
        {x, y});
    check_gradients(
        [&](const auto& in) {
          return F::huber_loss(in[0], in[1], F::HuberLossFuncOptions(how).delta(0.7));
        },
        {x, y});
    check_gradients(
        [&](const auto& in) {
          return F::binary_cross_entropy(in[0], in[1], nn::BCELossOptions().reduction(how));
        },
        {p, q});
    check_gradients(
        [&](const auto& in) {
          return F::binary_cross_entropy_with_logits(in[0], in[1],
                                                     nn::BCEWithLogitsLossOptions().reduction(how));
        },
        {x, q});
    check_gradients(
        [&](const auto& in) {
          return F::binary_cross_entropy_with_logits(
              in[0], in[1], nn::BCEWithLogitsLossOptions().reduction(how).pos_weight(pos));
        },
        {x, q});
    check_gradients(
        [&](const auto& in) {
          return F::kl_div(in[0], in[1], F::KLDivFuncOptions(how).log_target(true));
        },
        {x, y});
  }
}

TEST_CASE("kl_div gives PyTorch's values") {
  const Tensor p = doubles({0.2, 0.8, 1, 0}).reshape({2, 2}),
               q = doubles({0.5, 0.5, 0.9, 0.1}).reshape({2, 2}).log();
  CHECK(nn::KLDivLoss()(q, p).item<double>() == Approx(0.07452632923595481));
  CHECK(nn::KLDivLoss(kSum)(q, p).item<double>() == Approx(0.29810531694381925));
  CHECK(nn::KLDivLoss(kBatchMean)(q, p).item<double>() == Approx(0.14905265847190963));
  CHECK(F::kl_div(q, p, kNone)
            .allclose(doubles({-0.18325814612535793, 0.37600292092039733, 0.10536054214877988, 0})
                          .reshape({2, 2}),
                      1e-6, 1e-6));
  CHECK(F::kl_div(q, q.flip({0}), F::KLDivFuncOptions(kSum).log_target(true)).item<double>() ==
        Approx(0.8788897979654671));
  const Tensor zero = p.clone().requires_grad_();
  F::kl_div(q, zero, kSum).backward();
  CHECK(zero.grad().isfinite().all().item<bool>());
}

TEST_CASE("bad calls of losses are errors that say why") {
  const Tensor x = ones({2, 3}), y = tensor({0, 1});
  CHECK_THROWS_AS(F::cross_entropy(x, tensor({0, 3})), IndexError);
  CHECK_THROWS_WITH_TEXT(F::cross_entropy(x, tensor({0, 1, 2})),
                         "Expected input batch_size (2) to match target batch_size (3)");
  CHECK_THROWS_WITH_TEXT(
      F::cross_entropy(x, ones({2, 3}, kLong)),
      "Expected floating point type for target with class probabilities, got Long");
  CHECK_THROWS_WITH_TEXT(F::cross_entropy(x, y, nn::CrossEntropyLossOptions().label_smoothing(1.5)),
                         "label_smoothing must be between 0.0 and 1.0. Got: 1.5");
  CHECK_THROWS_AS(F::cross_entropy(tensor(1.0), y), ShapeError);
  CHECK_THROWS_WITH_TEXT(F::binary_cross_entropy(ones({2}), ones({3})),
                         "must be the same as input size");
  CHECK_THROWS_WITH_TEXT(F::binary_cross_entropy_with_logits(ones({2}), ones({3})),
                         "must be the same as input size");
  CHECK_THROWS_WITH_TEXT(F::binary_cross_entropy(tensor({0.5, 1.5}), ones({2})),
                         "all elements of input should be between 0 and 1");
  CHECK_THROWS_AS(F::huber_loss(x, x, F::HuberLossFuncOptions().delta(0)), ValueError);
  CHECK_THROWS_AS(F::smooth_l1_loss(x, x, F::SmoothL1LossFuncOptions().beta(-1)), ValueError);
}

TEST_CASE("elementwise losses warn of broadcasting") {
  Collector warnings;
  F::mse_loss(ones({2, 1}), ones({2}));
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find(
            "Using a target size ([2]) that is different to the input size ([2, 1])") == 0);
  F::mse_loss(ones({2}), ones({2}));
  CHECK(warnings.texts.size() == 1);
}

TEST_CASE("losses print their name") {
  CHECK(str(nn::MSELoss()) == "tarn::nn::MSELoss()");
  CHECK(str(nn::CrossEntropyLoss()) == "tarn::nn::CrossEntropyLoss()");
  CHECK(str(nn::BCEWithLogitsLoss()) == "tarn::nn::BCEWithLogitsLoss()");
  CHECK(str(nn::SmoothL1Loss()) == "tarn::nn::SmoothL1Loss()");
}

TEST_CASE("losses in ATen's form take weight and reduction by position") {
  const Tensor x = doubles({0.2, 0.7}), y = doubles({0.0, 1.0}), w = doubles({1.0, 3.0});
  CHECK(mse_loss(x, y, kSum).equal(F::mse_loss(x, y, kSum)));
  CHECK(l1_loss(x, y).equal(F::l1_loss(x, y)));
  CHECK(smooth_l1_loss(x, y, kNone, 0.5)
            .equal(F::smooth_l1_loss(x, y, nn::SmoothL1LossOptions(kNone).beta(0.5))));
  CHECK(huber_loss(x, y, kMean, 0.5).equal(F::huber_loss(x, y, nn::HuberLossOptions().delta(0.5))));
  CHECK(binary_cross_entropy(x, y, w, Reduction::Sum)
            .equal(F::binary_cross_entropy(x, y, nn::BCELossOptions().weight(w).reduction(kSum))));
  CHECK(binary_cross_entropy_with_logits(x, y, {}, w)
            .equal(F::binary_cross_entropy_with_logits(
                x, y, nn::BCEWithLogitsLossOptions().pos_weight(w))));
  CHECK(
      kl_div(x, y, kSum, true).equal(F::kl_div(x, y, nn::KLDivLossOptions(kSum).log_target(true))));
  const Tensor scores = x.reshape({1, 2}), target = tensor({1});
  CHECK(cross_entropy_loss(scores, target, w, kSum, -100, 0.1)
            .equal(F::cross_entropy(
                scores, target,
                nn::CrossEntropyLossOptions().weight(w).reduction(kSum).label_smoothing(0.1))));
}
