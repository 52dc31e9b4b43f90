"""Golden values of layers and losses, as cases.py records them. Parameters are operands."""

import torch
from torch.nn import functional as F

from cases import record, values


def modules(t):
    for name, bias in (("linear", True), ("linear_no_bias", False)):
        for shape in ((5,), (3, 5), (2, 3, 5)):
            parameters = [values(4, 5)] + ([values(4)] if bias else [])
            record(t, f"{name}.{len(shape)}d", F.linear, values(*shape), *parameters)
    record(
        t,
        "linear.f32",
        F.linear,
        values(9, 20, dtype=torch.float32),
        values(30, 20, dtype=torch.float32),
        values(30, dtype=torch.float32),
    )
    x = values(2, 3, 4, low=-4, high=4)
    record(t, "relu", F.relu, x)
    record(t, "sigmoid", F.sigmoid, x)
    record(t, "tanh", F.tanh, x)
    record(t, "gelu.none", F.gelu, x)
    record(t, "gelu.tanh", lambda x: F.gelu(x, approximate="tanh"), x)
    record(t, "softmax.1", lambda x: F.softmax(x, 1), x)
    record(t, "log_softmax.m1", lambda x: F.log_softmax(x, -1), x)
    record(t, "flatten", torch.nn.Flatten(), x)
    record(t, "flatten.0_1", torch.nn.Flatten(0, 1), x)
    record(t, "identity", torch.nn.Identity(), x)
    record(t, "dropout.eval", torch.nn.Dropout(0.4).eval(), x)

    def mlp(x, w1, b1, w2, b2):
        return F.linear(F.relu(F.linear(x, w1, b1)), w2, b2)

    record(t, "mlp", mlp, values(4, 6), values(8, 6), values(8), values(3, 8), values(3))


REDUCTIONS = ("mean", "sum", "none")


def losses(t):
    for how in REDUCTIONS:
        record(
            t,
            f"mse.{how}",
            lambda x, y: F.mse_loss(x, y, reduction=how),
            values(3, 4),
            values(3, 4),
        )
        probability = values(3, 4, low=0.05, high=0.95)
        target = values(3, 4, low=0, high=1)
        record(
            t,
            f"bce.{how}",
            lambda x, y: F.binary_cross_entropy(x, y, reduction=how),
            probability,
            target,
        )
        first_operand(
            t,
            f"bce.weight.{how}",
            lambda x, y, w: F.binary_cross_entropy(x, y, w, reduction=how),
            probability,
            target,
            values(4, low=0.5, high=2),
        )
        logits = values(3, 4, low=-6, high=6)
        record(
            t,
            f"bce_logits.{how}",
            lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction=how),
            logits,
            target,
        )
        first_operand(
            t,
            f"bce_logits.weight.{how}",
            lambda x, y, w, p: F.binary_cross_entropy_with_logits(
                x, y, w, pos_weight=p, reduction=how
            ),
            logits,
            target,
            values(3, 4, low=0.5, high=2),
            values(4, low=0.5, high=3),
        )
        classify(t, how)
    far = torch.tensor([-1000.0, -90.0, 0.0, 90.0, 1000.0], dtype=torch.float64)
    record(
        t,
        "bce_logits.far",
        F.binary_cross_entropy_with_logits,
        far,
        torch.tensor([0.0, 1.0, 0.5, 1.0, 0.0], dtype=torch.float64),
    )


def classify(t, how):
    labels, pixel_labels = torch.tensor([4, 0, 2, 2, 1, 3]), torch.tensor([[1, 0, 2], [2, 2, 1]])
    logits, weight = values(6, 5, low=-4, high=4), values(5, low=0.2, high=2)
    options = {
        "": dict(),
        ".ignore": dict(ignore_index=2),
        ".weight": dict(weight=weight),
        ".weight_ignore": dict(weight=weight, ignore_index=2),
        ".smooth": dict(label_smoothing=0.1),
        ".weight_smooth_ignore": dict(weight=weight, label_smoothing=0.2, ignore_index=2),
    }
    for tag, option in options.items():
        weights = [option.pop("weight")] if "weight" in option else []

        def cross_entropy(x, y, *w):
            return F.cross_entropy(x, y, *w, reduction=how, **option)

        def nll(x, y, *w):
            return F.nll_loss(x, y, *w, reduction=how, **option)

        first_operand(t, f"cross_entropy{tag}.{how}", cross_entropy, logits, labels, *weights)
        if "label_smoothing" not in option:
            first_operand(t, f"nll{tag}.{how}", nll, torch.log_softmax(logits, 1), labels, *weights)
    pixels = values(2, 3, 3, low=-2, high=2)
    record(
        t,
        f"cross_entropy.pixels.{how}",
        lambda x, y: F.cross_entropy(x, y, reduction=how),
        pixels,
        pixel_labels,
    )
    record(
        t,
        f"nll.pixels.{how}",
        lambda x, y: F.nll_loss(x, y, reduction=how),
        torch.log_softmax(pixels, 1),
        pixel_labels,
    )
    record(
        t,
        f"cross_entropy.one.{how}",
        lambda x, y: F.cross_entropy(x, y, reduction=how),
        values(5),
        torch.tensor(3),
    )
    shares = torch.softmax(values(6, 5), 1)
    record(
        t,
        f"cross_entropy.shares.{how}",
        lambda x, y: F.cross_entropy(x, y, reduction=how),
        logits,
        shares,
    )
    record(
        t,
        f"cross_entropy.shares_smooth.{how}",
        lambda x, y: F.cross_entropy(x, y, reduction=how, label_smoothing=0.1),
        logits,
        shares,
    )


def first_operand(t, name, function, *operands):
    """A case differentiated by its first operand only: weights get no gradient from a loss."""
    rest = operands[1:]
    record(t, name, lambda x: function(x, *rest), operands[0])
    for index, x in enumerate(rest, 1):
        t[f"{name}/x{index}"] = x.clone()


def normalization(t):
    x = values(3, 4, 5)
    for shape in ((5,), (4, 5)):
        parameters = (values(*shape), values(*shape))
        for count, name in enumerate(("plain", "weight", "both")):
            record(
                t,
                f"layer_norm.{len(shape)}d.{name}",
                lambda x, *p: F.layer_norm(x, shape, *p),
                x,
                *parameters[:count],
            )


def make(tensors):
    modules(tensors)
    losses(tensors)
    normalization(tensors)
