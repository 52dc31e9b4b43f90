"""Cases that Tarn and PyTorch both compute on a device. Each makes its inputs and PyTorch's
outputs; the C++ half, under the same names, is in gpu_tool.cpp."""
import torch
import torch.nn.functional as F

CASES = {}


def case(*names, **tolerance):
    def add(make):
        for name in names:
            CASES[name] = (make, {"rtol": 1e-5, "atol": 1e-5, **tolerance})
        return make
    return add


def numbers(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype)


@case("pointwise")
def pointwise(_, to):
    x, y = to(numbers(257, 129)), to(numbers(129, seed=1))
    out = [torch.exp(x), torch.tanh(x), torch.sigmoid(x), torch.erf(x), F.gelu(x), F.silu(x), x + y,
           x * y, x / (y.abs() + 1), torch.where(x > y, x, y)]
    return [x, y], out


@case("reductions", rtol=1e-5, atol=1e-4)
def reductions(_, to):
    x = to(numbers(65, 130, 67))
    out = [x.sum(), x.sum(0), x.sum(1), x.sum(2), x.mean((0, 2)), x.var(1), x.amax(2), x.argmin(0),
           x.cumsum(2), x.norm()]
    return [x], out


@case("softmax")
def softmax(_, to):
    x = to(numbers(33, 1000) * 5)
    return [x], [torch.softmax(x, 1), torch.log_softmax(x, 1), torch.softmax(x, 0)]


@case("matmul float32", rtol=1e-4, atol=1e-3)
@case("matmul float64", rtol=1e-10, atol=1e-10)
@case("matmul bfloat16", rtol=2e-2, atol=0.25)
@case("matmul float16", rtol=2e-3, atol=5e-2)
def matmul(name, to):
    dtype = getattr(torch, name.split()[1])
    a, b, w = (to(numbers(*s, dtype=dtype)) for s in ((192, 130), (130, 96), (3, 130, 64)))
    return [a, b, w], [a @ b, a.t() @ a, b.t() @ a.t(), torch.matmul(a, w)]


@case("linear and cross entropy", rtol=1e-4, atol=1e-5)
def training_loss(_, to):
    x, w, b = to(numbers(64, 100)), to(numbers(10, 100, seed=1) * 0.1), to(numbers(10, seed=2))
    target = to(torch.arange(64) % 10)
    leaves = [t.clone().requires_grad_() for t in (x, w, b)]
    loss = F.cross_entropy(F.linear(*leaves), target)
    return [x, w, b, target], [loss, *torch.autograd.grad(loss, leaves)]


@case("sort and index")
def sort_and_index(_, to):
    x = to(numbers(37, 500))
    index = to((torch.arange(500) * 7) % 37)
    values, order = x.sort(stable=True, dim=1)
    source = to(numbers(500, 500, seed=3))
    added = torch.zeros_like(x).index_add(0, index, source)
    return [x, index, source], [values, order, x[index], x.t()[:, index[:20]], added, x.nonzero()]


@case("sgd", "adam", "adamw", rtol=1e-4, atol=1e-5)
def optimizer(name, to):
    x, y = to(numbers(128, 20)), to(torch.arange(128) % 5)
    parameters = [to(numbers(*s, seed=i) * 0.2)
                  for i, s in enumerate(((32, 20), (32,), (5, 32), (5,)))]
    leaves = [p.clone().requires_grad_() for p in parameters]
    steps = {"sgd": lambda: torch.optim.SGD(leaves, lr=0.1, momentum=0.9, weight_decay=1e-3),
             "adam": lambda: torch.optim.Adam(leaves, lr=1e-2),
             "adamw": lambda: torch.optim.AdamW(leaves, lr=1e-2, weight_decay=1e-2)}[name]()
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(F.linear(F.relu(F.linear(x, *leaves[:2])), *leaves[2:]), y)
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.detach())
    return [x, y, *parameters], [torch.stack(losses), *(p.detach() for p in leaves)]
