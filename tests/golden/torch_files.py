"""Whole files that torch.save wrote, as tensors of bytes: Tarn must write the same bytes."""

import io
from collections import OrderedDict

import torch


def make(tensors):
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    base = torch.arange(6.0).reshape(2, 3)
    files = {
        "tensor": torch.arange(4),
        "list": [torch.arange(4), torch.zeros(4)],
        "dict": {"x": torch.arange(4), "y": torch.zeros(4)},
        "state_dict": net.state_dict(),
        "adam": optimizer.state_dict(),
        "views": [base, base.t(), base[1, 1], base[:, 1:], torch.zeros(2, 0), base],
        "dtypes": [torch.tensor([0, 1, 1]).to(dtype) for dtype in (
            torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8,
            torch.int16, torch.int32, torch.int64, torch.bool)],
        "data": OrderedDict(none=None, flags=(True, False), empty=[(), [], {}], one=[1], text="é",
                            ints=(0, 255, 256, 65536, -1, 2**40), floats=[0.1],
                            bytes=[b"", b"a\xff"]),
    }
    for name, value in files.items():
        buffer = io.BytesIO()
        torch.save(value, buffer)
        tensors[name] = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
