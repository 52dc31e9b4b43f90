"""Golden values of elementwise operations, as cases.py records them, and of type promotion."""

import torch
from torch.nn import functional as F

from cases import F32, F64, I64, INF, NAN, record, values

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, -1e-30, 1e-8, 3.5, -2.5, 20.0, -20.0, 88.0, -88.0]
SPECIAL += [103.0, -104.0, 1e4, -1e4, 1e30, -1e30, INF, -INF, NAN]

# name -> (function, lowest and highest operand of its differentiable cases). No scalar is a sum of
# few powers of two: one that is rounded to float32 on the way shows.
UNARY = {
    "neg": (torch.neg, -2, 2),
    "abs": (torch.abs, -2, 2),
    "sign": (torch.sign, -2, 2),
    "square": (torch.square, -2, 2),
    "reciprocal": (torch.reciprocal, 0.2, 3),
    "sqrt": (torch.sqrt, 0.1, 9),
    "rsqrt": (torch.rsqrt, 0.2, 3),
    "floor": (torch.floor, -4, 4),
    "ceil": (torch.ceil, -4, 4),
    "round": (torch.round, -4, 4),
    "trunc": (torch.trunc, -4, 4),
    "exp": (torch.exp, -3, 3),
    "expm1": (torch.expm1, -2, 2),
    "log": (torch.log, 0.1, 4),
    "log2": (torch.log2, 0.1, 4),
    "log10": (torch.log10, 0.1, 4),
    "log1p": (torch.log1p, -0.8, 4),
    "sin": (torch.sin, -4, 4),
    "cos": (torch.cos, -4, 4),
    "tan": (torch.tan, -1.4, 1.4),
    "asin": (torch.asin, -0.95, 0.95),
    "acos": (torch.acos, -0.95, 0.95),
    "atan": (torch.atan, -4, 4),
    "sinh": (torch.sinh, -3, 3),
    "cosh": (torch.cosh, -3, 3),
    "erf": (torch.erf, -2.5, 2.5),
    "erfc": (torch.erfc, -2.5, 2.5),
    "tanh": (torch.tanh, -3, 3),
    "sigmoid": (torch.sigmoid, -5, 5),
    "log_sigmoid": (F.logsigmoid, -5, 5),
    "relu": (torch.relu, -2, 2),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), -2, 2),
    "elu": (lambda x: F.elu(x, 1.3), -2, 2),
    "gelu": (F.gelu, -4, 4),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), -4, 4),
    "silu": (F.silu, -4, 4),
    "mish": (F.mish, -4, 4),
    "softplus": (lambda x: F.softplus(x, 2.0, 3.0), -3, 3),
    "clamp": (lambda x: torch.clamp(x, -0.55, 0.7), -2, 2),
    "clamp_min": (lambda x: torch.clamp(x, min=-0.23), -2, 2),
    "clamp_max": (lambda x: torch.clamp(x, max=0.23), -2, 2),
    "pow_2": (lambda x: x.pow(2), -2, 2),
    "pow_3": (lambda x: x.pow(3), -2, 2),
    "pow_half": (lambda x: x.pow(0.5), 0.1, 4),
    "pow_minus": (lambda x: x.pow(-1.3), 0.3, 4),
    "scalar_pow": (lambda x: torch.pow(2.3, x), -2, 2),
    "add_scalar": (lambda x: x + 1.7, -2, 2),
    "rsub_scalar": (lambda x: 1.7 - x, -2, 2),
    "mul_scalar": (lambda x: x * -2.3, -2, 2),
    "rdiv_scalar": (lambda x: 1.7 / x, 0.3, 4),
}
TESTS = {
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "isfinite": torch.isfinite,
    "logical_not": torch.logical_not,
}
BINARY = {
    "add": torch.add,
    "add_alpha": lambda a, b: torch.add(a, b, alpha=0.3),
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "atan2": torch.atan2,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
# Those that have no gradient.
DIVISIONS = {
    "div_floor": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "div_trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
}
COMPARE = {
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
BITS = {
    "bitwise_and": torch.bitwise_and,
    "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor,
}


def unary(t):
    special = torch.tensor(SPECIAL)
    for name, (function, low, high) in UNARY.items():
        record(t, f"{name}.f64", function, values(3, 5, low=low, high=high))
        record(t, f"{name}.f32", function, values(37, low=low, high=high, dtype=F32))
        record(t, f"{name}.special", function, special, grad=False)
    for name, function in TESTS.items():
        record(t, f"{name}.special", function, special, grad=False)
    ints = torch.tensor([-7, -3, 0, 2, 5, 9])
    for name in ("neg", "abs", "sign", "square", "exp", "sqrt", "relu"):
        record(t, f"{name}.i64", UNARY[name][0], ints, grad=False)
    record(t, "bitwise_not.i64", torch.bitwise_not, ints, grad=False)
    record(t, "bitwise_not.bool", torch.bitwise_not, ints > 0, grad=False)


def binary(t):
    # Both operands through all pairs of these, NaN and infinities among them.
    some = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.5, -3.0, INF, -INF, NAN])
    a, b = (x.reshape(-1) for x in torch.meshgrid(some, some, indexing="ij"))
    for name, function in BINARY.items():
        positive = dict(low=0.3, high=3)
        record(t, f"{name}.f64", function, values(4, 5, **positive), values(4, 5, **positive))
        record(t, f"{name}.f32", function, *(values(35, dtype=F32, **positive) for _ in range(2)))
        record(
            t, f"{name}.broadcast", function, values(3, 1, 2, **positive), values(4, 1, **positive)
        )
    ints, others = torch.arange(-3, 4).view(7, 1), torch.tensor([-3, -2, -1, 1, 2, 3])
    for name, function in {**BINARY, **COMPARE, **DIVISIONS}.items():
        record(t, f"{name}.special", function, a, b, grad=False)
        if name not in ("add_alpha", "pow", "atan2"):
            record(t, f"{name}.i64", function, ints, others, grad=False)
    for name, function in BITS.items():
        record(t, f"{name}.i64", function, ints, others, grad=False)
        record(t, f"{name}.bool", function, ints > 0, others > 0, grad=False)
    record(t, "pow.i64", torch.pow, ints, torch.arange(4), grad=False)


def ternary(t):
    mask = values(4, 5) > 0
    record(t, "where", torch.where, mask, values(4, 5), values(5))
    record(t, "masked_fill", lambda x, m: x.masked_fill(m, -1.2), values(4, 5), mask)
    record(t, "lerp", lambda x, y: torch.lerp(x, y, 0.3), values(4, 5), values(4, 5))
    record(t, "lerp.tensor", torch.lerp, values(4, 5), values(4, 5), values(5))
    operands = values(4, 5), values(5), values(4, 1, low=0.5)
    record(t, "addcmul", lambda x, a, b: torch.addcmul(x, a, b, value=0.7), *operands)
    record(t, "addcdiv", lambda x, a, b: torch.addcdiv(x, a, b, value=0.7), *operands)


DTYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, I64]
DTYPES += [torch.float16, F32, F64, torch.bool, torch.bfloat16]


def dtype_of(function, *operands):
    """The place in DTYPES of the result's dtype; -1 for an error."""
    try:
        return DTYPES.index(function(*operands).dtype)
    except RuntimeError:
        return -1


def promotion(t):
    """Result dtypes, as places in DTYPES (-1: an error), over left and right operand dtypes."""

    def table(function, left, right):
        rows = [[dtype_of(function, left(a), right(b)) for b in DTYPES] for a in DTYPES]
        return torch.tensor(rows, dtype=torch.int8)

    def column(function, *more):
        rows = [dtype_of(function, full(a), *more) for a in DTYPES]
        return torch.tensor(rows, dtype=torch.int8)

    def full(dtype):
        return torch.ones(2, dtype=dtype)

    def zero_dim(dtype):
        return torch.ones((), dtype=dtype)

    for name in ("add", "sub", "mul", "div", "remainder", "pow", "maximum", "lt", "bitwise_and"):
        function = {**BINARY, **COMPARE, **BITS}[name]
        t[f"promotion/{name}.dim_dim"] = table(function, full, full)
        t[f"promotion/{name}.dim_zero"] = table(function, full, zero_dim)
        t[f"promotion/{name}.zero_zero"] = table(function, zero_dim, zero_dim)
        if name not in ("maximum", "bitwise_and"):
            for tag, scalar in (("int", 2), ("double", 2.5), ("bool", True)):
                t[f"promotion/{name}.scalar_{tag}"] = column(function, scalar)
    for name in ("exp", "abs", "neg", "sqrt", "relu", "sigmoid", "square", "floor", "sign", "erf"):
        t[f"promotion/{name}"] = column(UNARY[name][0])
    for name in ("sum", "mean", "prod", "max", "argmax", "any", "var", "norm"):
        t[f"promotion/{name}"] = column(getattr(torch, name))
    t["promotion/cumsum"] = column(lambda x: x.cumsum(0))
    t["promotion/softmax"] = column(lambda x: x.softmax(0))


def make(tensors):
    unary(tensors)
    binary(tensors)
    ternary(tensors)
    promotion(tensors)
