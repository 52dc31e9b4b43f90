"""Golden random numbers: what PyTorch's CPU generator gives after manual_seed(seed).

A key `call/0` (`call/1`, ... for a call of several results) holds what the call gave.
"""

import torch
from torch import nn

SIZES = (1, 2, 7, 15, 16, 17, 24, 31, 32, 33, 100)
F32, F64 = torch.float32, torch.float64


def seeded(tensors, key, call, seed=0):
    torch.manual_seed(seed)
    result = call()
    for index, x in enumerate([result] if isinstance(result, torch.Tensor) else result):
        tensors[f"{key}/{index}"] = x.detach().clone()


def draws(t):
    for tag, dtype in (("f32", F32), ("f64", F64)):
        for size in SIZES:
            seeded(t, f"rand.{tag}.{size}", lambda: torch.rand(size, dtype=dtype))
            seeded(t, f"randn.{tag}.{size}", lambda: torch.randn(size, dtype=dtype))
        seeded(t, f"uniform_.{tag}", lambda: torch.empty(5, 3, dtype=dtype).uniform_(-3, 7), 1)
        seeded(t, f"normal_.{tag}", lambda: torch.empty(3, 3, dtype=dtype).normal_(2, 0.5), 1)
        seeded(t, f"normal_.large.{tag}", lambda: torch.empty(6, 7, dtype=dtype).normal_(-1, 3), 1)
        seeded(t, f"bernoulli_.{tag}", lambda: torch.empty(50, dtype=dtype).bernoulli_(0.3), 2)
        # Writing through a view draws in the view's own order, and never by blocks of 16.
        seeded(
            t, f"normal_.transposed.{tag}", lambda: torch.zeros(6, 5, dtype=dtype).t().normal_(), 3
        )
        seeded(
            t,
            f"uniform_.transposed.{tag}",
            lambda: torch.zeros(6, 5, dtype=dtype).t().uniform_(),
            3,
        )
    for seed in (1, 42, 123456789, 2**32 - 1, 2**32 + 5, 2**63 - 1):
        seeded(t, f"rand.seed.{seed}", lambda: torch.rand(4), seed)
    # The second normal of a pair waits in the generator for the next small draw.
    seeded(
        t,
        "sequence",
        lambda: [
            torch.randn(3),
            torch.rand(2),
            torch.randn(2),
            torch.randn(20),
            torch.randn(1),
            torch.rand(1),
        ],
        4,
    )
    # More than the 624 words of one state of the generator.
    seeded(t, "rand.long", lambda: torch.rand(2000)[-8:], 5)
    seeded(t, "randn.long", lambda: torch.randn(2003)[-20:], 5)
    for low, high in (
        (0, 2),
        (0, 10),
        (-5, 5),
        (0, 1000003),
        (0, 2**32 - 1),
        (0, 2**33),
        (-(2**62), 2**62),
    ):
        seeded(t, f"randint.{low}.{high}", lambda: torch.randint(low, high, (20,)), 6)
    seeded(t, "randint.f32", lambda: torch.randint(0, 100, (20,), dtype=F32), 6)
    for size in (1, 2, 10, 100):
        seeded(t, f"randperm.{size}", lambda: torch.randperm(size), 7)
    seeded(t, "bernoulli_.bool", lambda: torch.empty(40, dtype=torch.bool).bernoulli_(0.5), 8)
    seeded(t, "dropout", lambda: nn.functional.dropout(torch.ones(6, 7), 0.4), 9)
    seeded(t, "dropout.f64", lambda: nn.functional.dropout(torch.ones(6, 7, dtype=F64), 0.1), 9)
    for tag, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        seeded(t, f"rand.{tag}", lambda: torch.rand(20, dtype=dtype), 10)
        seeded(t, f"randn.{tag}.7", lambda: torch.randn(7, dtype=dtype), 10)
        seeded(t, f"randn.{tag}.20", lambda: torch.randn(20, dtype=dtype), 10)


def initial(t):
    def linear(inputs, outputs):
        layer = nn.Linear(inputs, outputs)
        return layer.weight, layer.bias

    seeded(t, "linear.20.256", lambda: linear(20, 256))
    seeded(t, "linear.256.10", lambda: [x[-2:] for x in linear(256, 10)])
    seeded(t, "mlp.output", lambda: [linear(20, 256), linear(256, 10)][1], 0)
    seeded(t, "linear.no_bias", lambda: nn.Linear(5, 3, bias=False).weight, 11)
    init = nn.init
    calls = {
        "uniform_": lambda x: init.uniform_(x, -1, 2),
        "normal_": lambda x: init.normal_(x, 1, 0.25),
        "constant_": lambda x: init.constant_(x, 0.3),
        "ones_": init.ones_,
        "zeros_": init.zeros_,
        "eye_": init.eye_,
        "kaiming_uniform_": init.kaiming_uniform_,
        "kaiming_uniform_.relu": lambda x: init.kaiming_uniform_(
            x, mode="fan_out", nonlinearity="relu"
        ),
        "kaiming_normal_": init.kaiming_normal_,
        "kaiming_normal_.tanh": lambda x: init.kaiming_normal_(
            x, a=0.1, mode="fan_out", nonlinearity="tanh"
        ),
        "xavier_uniform_": init.xavier_uniform_,
        "xavier_normal_": lambda x: init.xavier_normal_(x, 1.5),
        "orthogonal_": init.orthogonal_,
    }
    for name, call in calls.items():
        for tag, dtype in (("f32", F32), ("f64", F64)):
            seeded(t, f"init.{name}.{tag}", lambda: call(torch.empty(4, 6, dtype=dtype)), 12)
    seeded(t, "init.orthogonal_.tall", lambda: init.orthogonal_(torch.empty(6, 4, dtype=F64)), 12)
    seeded(
        t, "init.kaiming_uniform_.conv", lambda: init.kaiming_uniform_(torch.empty(3, 2, 2, 2)), 12
    )
    seeded(t, "init.dirac_", lambda: init.dirac_(torch.empty(4, 3, 3, 3)), 12)
    gains = ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"]
    t["init.gain/0"] = torch.tensor(
        [init.calculate_gain(name) for name in gains] + [init.calculate_gain("leaky_relu", 0.2)],
        dtype=F64,
    )


def make(tensors):
    draws(tensors)
    initial(tensors)
