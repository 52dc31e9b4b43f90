"""Whole files that torch.save and numpy wrote, as tensors of bytes. Tarn must write the same bytes
of those in PyTorch's zip format and of .npy, and read the others."""

import io
import re
from collections import OrderedDict

import numpy
import torch


def legacy(value):
    """In the format of before PyTorch 1.6. The key of the one storage, an address, becomes 7."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return re.sub(rb"X.\0\0\0(\d{9,20})", b"X\x01\0\0\0" + b"7", buffer.getvalue(), flags=re.DOTALL)


def numpy_file(save, *arguments, **arrays):
    buffer = io.BytesIO()
    save(buffer, *arguments, **arrays)
    return buffer.getvalue()


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
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    files["checkpoint"] = {"model": net.state_dict(), "optimizer": optimizer.state_dict(),
                           "scheduler": scheduler.state_dict(), "epoch": 3, "best": 0.25,
                           "history": [(0, 1.5), (1, 0.5)], "name": "run", "done": False,
                           "note": None}
    contents = {}
    for name, value in files.items():
        buffer = io.BytesIO()
        torch.save(value, buffer)
        contents[name] = buffer.getvalue()
    contents["legacy"] = legacy({"base": base, "transposed": base.t(), "epoch": 3})
    matrix, counts = numpy.arange(6.0).reshape(2, 3), numpy.arange(3, dtype=numpy.int32)
    contents["npy"] = numpy_file(numpy.save, matrix)
    contents["npy_fortran"] = numpy_file(numpy.save, numpy.asfortranarray(matrix))
    contents["npy_big_endian"] = numpy_file(numpy.save, counts.astype(">i4"))
    contents["npz"] = numpy_file(numpy.savez, matrix=matrix, counts=counts)
    contents["npz_deflated"] = numpy_file(numpy.savez_compressed, matrix=matrix, counts=counts)
    for name, content in contents.items():
        tensors[name] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
