"""Golden values of reductions, matrix products, indexing, sorting, shapes and factories."""

import torch

from cases import F32, F64, I64, INF, NAN, record, values


def reductions_over_dims(t):
    x = values(2, 3, 4)
    for dims in ([0], [1], [2], [0, 2], [-1, -2], [0, 1, 2]):
        tag = "_".join(map(str, dims)).replace("-", "m")
        for keep in (False, True):
            cases = {
                "sum": lambda x: x.sum(dims, keepdim=keep),
                "mean": lambda x: x.mean(dims, keepdim=keep),
                "amax": lambda x: x.amax(dims, keepdim=keep),
                "var": lambda x: x.var(dims, keepdim=keep),
                "std_biased": lambda x: x.std(dims, unbiased=False, keepdim=keep),
                "norm": lambda x: x.norm(2, dims, keepdim=keep),
                "logsumexp": lambda x: x.logsumexp(dims, keepdim=keep),
            }
            for name, function in cases.items():
                record(t, f"{name}.{tag}" + (".keep" if keep else ""), function, x)


def reductions(t):
    reductions_over_dims(t)
    x = values(2, 3, 4)
    for name in ("sum", "mean", "prod", "max", "min", "var", "std", "norm"):
        record(t, f"{name}.all", getattr(torch, name), x)
    record(t, "prod.dim", lambda x: x.prod(1), x)
    for name, zeros in (("one_zero", 1), ("two_zeros", 2)):
        factors = torch.tensor([1.5, -2.0, 3.0] + [0.0] * zeros, dtype=F64)
        record(t, f"prod.{name}", torch.prod, factors)
    for p in (0, 1, 3, INF, -INF):
        name = f"norm_{p}".replace("-", "m")
        record(t, name, lambda x: x.norm(p, 1), x, grad=p != 0)
    equal_pairs = torch.tensor([2.0, -1.0, 2.0, -1.0], dtype=F64)
    ties = torch.tensor([[1.0, 3.0, 3.0], [NAN, 2.0, NAN], [INF, -INF, INF]])
    for name in ("max", "min"):
        record(t, f"{name}.dim", lambda x: getattr(x, name)(1), x)
        record(t, f"{name}.dim_keep", lambda x: getattr(x, name)(-1, keepdim=True), x)
        record(t, f"{name}.ties", lambda x: getattr(x, name)(1), ties, grad=False)
        record(t, f"{name}.all_ties", getattr(torch, name), equal_pairs)
        arg = "arg" + name
        record(t, f"{arg}.ties", lambda x: getattr(x, arg)(1), ties, grad=False)
        record(t, f"{arg}.all", lambda x: getattr(x, arg)(), x, grad=False)
        record(t, f"{arg}.keep", lambda x: getattr(x, arg)(0, keepdim=True), x, grad=False)
    flags = torch.tensor([[True, False, True], [True, True, True], [False, False, False]])
    for name in ("any", "all"):
        record(t, f"{name}.all", lambda x: getattr(x, name)(), flags, grad=False)
        record(t, f"{name}.dim", lambda x: getattr(x, name)(1), flags, grad=False)
        record(t, f"{name}.keep", lambda x: getattr(x, name)(0, keepdim=True), flags, grad=False)
    for kind in (torch.uint8, torch.int32, I64):
        ints = torch.tensor([3, 1, 7, 5, 2], dtype=kind)
        for name in ("sum", "prod", "max", "min"):
            tag = str(kind).replace("torch", name)
            record(t, tag, getattr(torch, name), ints, grad=False)
        record(t, str(kind).replace("torch", "cumsum"), lambda x: x.cumsum(0), ints, grad=False)
    record(t, "sum.bool", torch.sum, flags, grad=False)
    empty = torch.empty(0, 3)
    record(t, "sum.empty", torch.sum, empty, grad=False)
    record(t, "mean.empty", torch.mean, empty, grad=False)
    record(t, "prod.empty", torch.prod, empty, grad=False)
    record(t, "sum.empty_dim", lambda x: x.sum([0]), empty, grad=False)


def along_a_dim(t):
    wide = torch.tensor([[1000.0, 1001.0, 999.0], [-1000.0, 0.0, 1000.0], [-INF, 0.0, 1.0]])
    for name in ("softmax", "log_softmax"):
        for dim in (0, 1, -1):
            tag = f"{name}.{dim}".replace("-", "m")
            x = values(2, 3, 4, low=-5, high=5)
            record(t, tag, lambda x: getattr(torch, name)(x, dim), x)
        record(t, f"{name}.wide", lambda x: getattr(torch, name)(x, 1), wide, grad=False)
    record(t, "logsumexp.wide", lambda x: x.logsumexp(1), wide, grad=False)
    x = values(2, 3, 4)
    record(t, "cumsum.0", lambda x: x.cumsum(0), x)
    record(t, "cumsum.m1", lambda x: x.cumsum(-1), x)
    record(t, "cumprod.1", lambda x: x.cumprod(1), x)
    keys = torch.tensor([[3.0, 1.0, 2.0, 1.0, NAN], [0.0, -0.0, INF, -INF, 1.0]])
    record(t, "sort", lambda x: torch.sort(x, stable=True), keys, grad=False)
    descending = lambda x: torch.sort(x, descending=True, stable=True)
    record(t, "sort.descending", descending, keys, grad=False)
    record(t, "sort.dim0", lambda x: torch.sort(x, dim=0), values(5, 3))
    record(t, "argsort", lambda x: torch.argsort(x), values(2, 6), grad=False)
    record(t, "topk", lambda x: x.topk(3), values(2, 6))
    record(t, "topk.smallest", lambda x: x.topk(2, dim=0, largest=False), values(5, 3))


def linear_algebra(t):
    record(t, "mm", torch.mm, values(5, 7), values(7, 3))
    record(t, "mm.f32", torch.mm, values(17, 33, dtype=F32), values(33, 9, dtype=F32))
    record(t, "mm.transposed", lambda a, b: a.t().mm(b.t()), values(7, 5), values(3, 7))
    record(t, "mm.empty_inner", torch.mm, values(3, 0), values(0, 2))
    ints = torch.arange(6).view(2, 3), torch.arange(12).view(3, 4)
    record(t, "mm.i64", torch.mm, *ints, grad=False)
    addmm = lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2.0)
    record(t, "addmm", addmm, values(3), values(2, 4), values(4, 3))
    shapes = {
        "1x1": ((5,), (5,)),
        "2x1": ((3, 5), (5,)),
        "1x2": ((5,), (5, 3)),
        "2x2": ((2, 5), (5, 3)),
        "3x2": ((2, 3, 5), (5, 4)),
        "2x3": ((3, 5), (2, 5, 4)),
        "3x3": ((2, 3, 5), (2, 5, 4)),
        "1x3": ((5,), (2, 5, 4)),
        "3x1": ((2, 3, 5), (5,)),
        "batch": ((2, 1, 3, 5), (4, 5, 2)),
    }
    for name, (a, b) in shapes.items():
        record(t, f"matmul.{name}", torch.matmul, values(*a), values(*b))
    record(t, "bmm", torch.bmm, values(2, 3, 5), values(2, 5, 4))
    record(t, "mv", torch.mv, values(3, 5), values(5))
    record(t, "dot", torch.dot, values(5), values(5))
    record(t, "outer", torch.outer, values(3), values(4))
    record(t, "linear", torch.nn.functional.linear, values(2, 3, 5), values(4, 5), values(4))


def indexing(t):
    x, square = values(2, 3, 4), values(3, 4)
    mask = values(3, 4) > 0
    pairs = torch.tensor([[0, 3], [1, 1], [2, 0]])
    record(t, "gather", lambda x, i: x.gather(1, i), square, pairs)
    select = torch.tensor([2, 0, 2, 2])
    record(t, "index_select", lambda x, i: x.index_select(1, i), x, select)
    unique = torch.tensor([[0, 3], [1, 2], [2, 0]])
    record(t, "scatter", lambda x, i, s: x.scatter(1, i, s), square, unique, values(3, 2))
    repeated = torch.tensor([[0, 0], [1, 2], [2, 2]])
    record(t, "scatter_add", lambda x, i, s: x.scatter_add(1, i, s), square, repeated, values(3, 2))
    rows = torch.tensor([2, 0, 2])
    record(t, "index_add", lambda x, i, s: x.index_add(0, i, s), values(4, 3), rows, values(3, 3))
    record(
        t, "index", lambda x, i, j: x[i, :, j], x, torch.tensor([1, 0, 1]), torch.tensor([3, 3, -1])
    )
    record(t, "index_mask", lambda x, m: x[m], square, mask)
    record(t, "masked_select", lambda x, m: x.masked_select(m), square, mask)
    put = lambda x, i, v: x.index_put((i,), v)
    record(t, "index_put", put, values(4, 3), torch.tensor([2, 0]), values(2, 3))
    accumulate = lambda x, i, v: x.index_put((i,), v, accumulate=True)
    record(t, "index_put_accumulate", accumulate, values(4, 3), rows, values(3, 3))
    record(t, "nonzero", torch.nonzero, mask, grad=False)
    record(t, "one_hot", torch.nn.functional.one_hot, torch.tensor([[1, 0], [3, 2]]), grad=False)


def shapes(t):
    x = values(2, 3, 4)
    pair = values(2, 3), values(2, 2)
    record(t, "cat", lambda a, b: torch.cat([a, b], 1), *pair)
    record(t, "stack", lambda a, b: torch.stack([a, b], -1), values(2, 3), values(2, 3))
    record(t, "permute", lambda x: x.permute(2, 0, 1), x)
    record(t, "movedim", lambda x: x.movedim(0, 2), x)
    record(t, "flip", lambda x: x.flip([0, 2]), x)
    record(t, "repeat", lambda x: x.repeat(2, 1, 3), values(2, 3))
    record(t, "expand", lambda x: x.expand(2, 3, -1), values(3, 1))
    record(t, "slice", lambda x: x[:, 1:, ::2], x)
    record(t, "narrow", lambda x: x.narrow(2, 1, 2), x)
    record(t, "select", lambda x: x.select(1, -1), x)
    record(t, "diagonal", lambda x: x.diagonal(1, 1, 2), x)
    record(t, "unfold", lambda x: x.unfold(2, 3, 1), x)
    record(t, "tril", torch.tril, values(4, 4))
    record(t, "triu", lambda x: torch.triu(x, 1), values(3, 5))


def factories(t):
    made = {
        "arange.4": torch.arange(4),
        "arange.2_9_3": torch.arange(2, 9, 3),
        "arange.0_1_0.1": torch.arange(0, 1, 0.1),
        "arange.5_0_m2": torch.arange(5, 0, -2),
        "arange.f": torch.arange(3.0),
        "linspace.0_1_7": torch.linspace(0, 1, 7),
        "linspace.3_m2_5": torch.linspace(3, -2, 5),
        "linspace.1": torch.linspace(2, 9, 1),
        "linspace.f64": torch.linspace(-1, 1, 11, dtype=F64),
        "eye.3": torch.eye(3),
        "eye.2_4": torch.eye(2, 4),
        "full.int": torch.full((2, 2), 7),
        "full.float": torch.full((2,), 1.5),
    }
    t.update({f"factory.{name}/out": value for name, value in made.items()})


def make(tensors):
    reductions(tensors)
    along_a_dim(tensors)
    linear_algebra(tensors)
    indexing(tensors)
    shapes(tensors)
    factories(tensors)
