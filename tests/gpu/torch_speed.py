"""PyTorch's side of gpu_tool's speed cases: the same work and method; eager and as a CUDA graph."""
import statistics
import time

import torch
import torch.nn.functional as F


def time_of(device, step):
    def run(calls):
        start = time.perf_counter()
        for _ in range(calls):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    run(3)
    once = run(1)
    calls = max(1, min(1000, int(0.05 / once)))
    return statistics.median(run(calls) / calls for _ in range(7))


def as_graph(step):
    """The replay of the captured step, after the warm-up on a side stream that capture needs."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def cases(device, scale):
    """Yields (name, step, bytes that must move, floating-point operations)."""
    n = (64 << 20) // scale
    a, b = torch.rand(n, device=device), torch.rand(n, device=device)
    rows, row = torch.rand(n // 1024, 1024, device=device), torch.rand(1024, device=device)
    c, d = a.to(torch.bfloat16), b.to(torch.bfloat16)
    yield "add", lambda: a + b, 12 * n, 0
    yield "add bfloat16", lambda: c + d, 6 * n, 0
    yield "add a row", lambda: rows + row, 8 * n, 0
    yield "exp", lambda: a.exp(), 8 * n, 0
    yield "gelu", lambda: F.gelu(a), 8 * n, 0
    yield "sum", lambda: a.sum(), 4 * n, 0
    yield "sum of rows", lambda: rows.sum(1), 4 * n, 0
    yield "sum of columns", lambda: rows.sum(0), 4 * n, 0
    yield "variance of rows", lambda: rows.var(1), 4 * n, 0
    yield "argmax of rows", lambda: rows.argmax(1), 4 * n, 0
    yield "softmax", lambda: torch.softmax(rows, 1), 8 * n, 0
    yield "layer norm", lambda: F.layer_norm(rows, (1024,), row, row), 8 * n, 0
    yield "transpose", lambda: rows.t().contiguous(), 8 * n, 0
    yield "rand", lambda: torch.rand(n, device=device), 4 * n, 0
    m = max(64, 4096 // scale)
    p, q = torch.rand(m, m, device=device), torch.rand(m, m, device=device)
    yield "matmul", lambda: p @ q, 12 * m * m, 2 * m**3
    del a, b, c, d, rows, p, q

    count = 1_000_000 // scale
    parameters = [torch.rand(count, device=device, requires_grad=True) for _ in range(100)]
    for x in parameters:
        x.grad = torch.rand_like(x)
    on_gpu = device.type == "cuda"
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True, capturable=on_gpu)
    yield "Adam", adam.step, 28 * 100 * count, 0
    del parameters, adam

    x, y = torch.rand(256, 784, device=device), torch.arange(256, device=device) % 10
    optimizers = {
        "train step": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
        "train step Adam": lambda p: torch.optim.Adam(p, lr=1e-3, fused=True, capturable=on_gpu)}
    for name, make in optimizers.items():
        net = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(),
                                  torch.nn.Linear(256, 10)).to(device)
        optimizer = make(net.parameters())

        def train(net=net, optimizer=optimizer):
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield name, train, 0, 0


def measure(device, scale):
    """{case: {"eager": seconds, "graph": seconds or None, "bytes": n, "flops": n}}"""
    results = {}
    for name, step, size, flops in cases(device, scale):
        with torch.set_grad_enabled("Adam" in name or "train" in name):
            eager = time_of(device, step)
            graph = time_of(device, as_graph(step)) if device.type == "cuda" else None
        results[name] = {"eager": eager, "graph": graph, "bytes": size, "flops": flops}
    return results
