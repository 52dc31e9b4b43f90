"""How one case of the golden files is recorded.

Case `name` gives `name/x0`, `name/x1`, ... (operands) and `name/out` (or `name/out0`, `name/out1`,
... for several results). A differentiable case also has `name/gout`, the gradient given for the
first result, and `name/grad0`, ... for the operands.
"""

import torch

F32, F64, I64 = torch.float32, torch.float64, torch.int64
INF, NAN = float("inf"), float("nan")


def record(tensors, name, function, *operands, grad=True):
    """Runs one case and stores its operands, its results and, where asked, its gradients."""
    inputs = [x.clone().requires_grad_(grad and x.is_floating_point()) for x in operands]
    outputs = function(*inputs)
    single = isinstance(outputs, torch.Tensor)
    for index, x in enumerate(operands):
        tensors[f"{name}/x{index}"] = x.clone()
    for index, out in enumerate([outputs] if single else outputs):
        tensors[f"{name}/out" + ("" if single else str(index))] = out.clone()
    if not grad:
        return
    out = outputs if single else outputs[0]
    gout = torch.randn(out.shape, dtype=out.dtype)
    wanted = [x for x in inputs if x.requires_grad]
    grads = iter(torch.autograd.grad(out, wanted, gout))
    tensors[f"{name}/gout"] = gout
    for index, x in enumerate(inputs):
        if x.requires_grad:
            tensors[f"{name}/grad{index}"] = next(grads)


def values(*shape, low=-2.0, high=2.0, dtype=F64):
    return torch.rand(shape, dtype=F64).mul(high - low).add(low).to(dtype)
