"""Tensors of every dtype, shape and layout, in every container that Tarn reads and writes."""
import dataclasses
import io
import pathlib
import zipfile

import numpy
import safetensors.torch
import torch

from objects import DTYPES, rezip

SHAPES = [(), (1,), (0,), (2, 0, 3), (3, 4), (1, 3, 4, 5), (7000,), (2, 1, 2, 1, 2, 1, 2, 1)]


@dataclasses.dataclass
class Case:
    path: pathlib.Path  # written in Python
    source: pathlib.Path  # the same value as a file of PyTorch, from which Tarn writes its own
    value: object
    same_bytes: bool  # Tarn must write the very bytes of `path`


def elements(shape, dtype):
    """Random bits, so that floats have NaNs, infinities and denormals among them."""
    count = 1
    for size in shape:
        count *= size
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).to(dtype)
    width = torch.tensor([], dtype=dtype).element_size()
    data = torch.randint(0, 256, (count * width,), dtype=torch.uint8)
    x = data.view(dtype).reshape(shape)
    if dtype.is_floating_point and count > 2:
        x.view(-1)[:3] = torch.tensor([float("nan"), -0.0, float("-inf")], dtype=dtype)
    return x


def layouts(shape, dtype):
    """(name, tensor): the shape in different places and orders of memory."""
    yield "contiguous", elements(shape, dtype)
    if len(shape) == 2:
        yield "transposed", elements(shape[::-1], dtype).t()
        yield "expanded", elements((shape[0], 1), dtype).expand(shape)
        yield "column", elements((shape[0], shape[1] + 3), dtype)[:, 1:shape[1] + 1]
    if len(shape) == 4:
        yield "channels_last", elements(shape, dtype).to(memory_format=torch.channels_last)
    if len(shape) == 1 and shape[0] > 0:
        yield "stepped", elements((2 * shape[0],), dtype)[::2]
        yield "sliced", elements((shape[0] + 5,), dtype)[3:shape[0] + 3]


def is_numpy(dtype):
    return dtype != torch.bfloat16


def write(folder):
    """Writes each case in each container. Returns the cases."""
    torch.manual_seed(4)
    cases = []
    for dtype in (getattr(torch, name) for name in DTYPES):
        for shape in SHAPES:
            for layout, x in layouts(shape, dtype):
                name = f"{str(dtype)[6:]}_{'x'.join(map(str, shape)) or 'scalar'}_{layout}"
                cases += write_containers(folder, name, x)
    return cases


def write_containers(folder, name, x):
    value = {"t": x, "twice": x.flatten()[:5].clone()}
    source = folder / f"{name}.zip.pt"
    torch.save(value, source)

    def case(suffix, same_bytes=False, of=value, at=source):
        return Case(folder / f"{name}.{suffix}", at, of, same_bytes)

    result = [case("zip.pt")]
    legacy = case("legacy.pt")
    torch.save(value, legacy.path, _use_new_zipfile_serialization=False)
    protocol = case("protocol4.pt")
    torch.save(value, protocol.path, pickle_protocol=4)
    deflated = case("deflated.pt")
    deflated.path.write_bytes(rezip(source.read_bytes(),
                                    lambda _, data: (data, zipfile.ZIP_DEFLATED)))
    flat = case("safetensors", same_bytes=True)
    dense = {key: tensor.contiguous() for key, tensor in value.items()}
    safetensors.torch.save_file(dense, flat.path, metadata={"format": "pt"})
    result += [legacy, protocol, deflated, flat]
    if is_numpy(x.dtype):
        arrays = {key: tensor.numpy() for key, tensor in dense.items()}
        for suffix, save in (("npz", numpy.savez), ("deflated.npz", numpy.savez_compressed)):
            result.append(case(suffix))
            save(result[-1].path, **arrays)
        alone = folder / f"{name}.alone.pt"
        torch.save(x, alone)
        result.append(case("npy", same_bytes=True, of=x, at=alone))
        numpy.save(result[-1].path, arrays["t"])
    return result


def read(path):
    """A file that Tarn wrote, with the reader that Python programs use for it."""
    if path.suffix == ".safetensors":
        return dict(sorted(safetensors.torch.load_file(path).items()))
    if path.suffix == ".npy":
        return torch.from_numpy(numpy.load(path, allow_pickle=False))
    if path.suffix == ".npz":
        with numpy.load(path, allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays}
    torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
    return torch.load(path, weights_only=True, mmap=True)
