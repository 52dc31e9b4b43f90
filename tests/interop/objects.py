"""The objects Python saves for Tarn to read: what Tarn supports, and some that it must refuse."""
import io
import zipfile
from collections import Counter, OrderedDict, defaultdict

import safetensors.torch
import torch

DTYPES = ("float32 float64 float16 bfloat16 int8 uint8 int16 int32 int64 bool").split()
# Tarn has no Parameter type and starts every tensor without elements inside its storage.
REWRITTEN_DIFFERENTLY = {"parameter", "parameters", "empty_slice"}


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.scale = torch.nn.Parameter(torch.ones(2))


def make():
    """name -> object; the names become file names."""
    torch.manual_seed(0)
    base = torch.arange(24.0).reshape(4, 6)
    x = torch.randn(3)
    net = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.BatchNorm1d(8),
                              torch.nn.Sequential(torch.nn.Linear(8, 2)))
    result = {
        "tensor": torch.arange(4),
        "list": [torch.zeros(4), torch.ones(2, 2)],
        "one_entry_list": [torch.zeros(4)],
        "tuple": (torch.zeros(1), 1, 2, 3.5),
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((),)],
        "dict": {"x": torch.arange(4), "y": torch.zeros(4)},
        "one_entry_dict": {"x": torch.arange(4)},
        "empty_dict": {},
        "int_keys": {0: "a", -1: "b", None: "c", 0.5: "d"},
        "none": None,
        "true": True,
        "ints": [0, 255, 256, 65535, 65536, -1, 2**31, -2**31, -2**31 - 1, 2**63 - 1, -2**63, 2**40,
                 -129, -2**39, -(1 << 55) - 1, (1 << 55) - 1],
        "floats": [0.0, -0.0, float("nan"), float("inf"), 1e-300, 0.1],
        "text": ["", "a", "é", "😀", "\n", "x" * 300, "a"],
        "bytes": [b"", b"abc", bytes(range(256)), b"abc"],
        "views": [base, base.t(), base[1:3, ::2], base[2], base.as_strided((3,), (2,), 1),
                  base[0, 0]],
        "view_alone": base[1:3, 2:4],
        "expanded": torch.ones(3, 1).expand(3, 5),
        "zero_dim": torch.tensor(3.5),
        "empty": [torch.zeros(0), torch.zeros(2, 0, 3)],
        "shared": [x, x, {"x": x, "view": x[1:]}],
        "rank8": torch.arange(256).reshape([2] * 8),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "requires_grad": torch.ones(3, requires_grad=True),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "parameters": dict(net.named_parameters()),
        "state_dict": net.state_dict(),
        "tied": Tied().state_dict(),
        "many": {f"t{i}": torch.full((i % 5,), i) for i in range(700)},
    }
    for name in DTYPES:
        result[f"dtype_{name}"] = torch.tensor([0, 1, 1, 0, 1]).to(getattr(torch, name))
    for size in (2, 999, 1000, 1001, 2000, 2001):
        result[f"dict_{size}"] = {f"k{i}": i for i in range(size)}
        result[f"ordered_{size}"] = OrderedDict((f"k{i}", i) for i in range(size))
        result[f"list_{size}"] = list(range(size))
    for name, make_optimizer in {
        "adam": torch.optim.Adam,
        "adamw": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-3), amsgrad=True),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "rmsprop": torch.optim.RMSprop,
    }.items():
        optimizer = make_optimizer([{"params": net[0].parameters()},
                                    {"params": net[1].parameters(), "weight_decay": 0.1}])
        result[f"{name}_fresh"] = optimizer.state_dict()
        net(torch.randn(4, 20)).sum().backward()
        optimizer.step()
        result[name] = optimizer.state_dict()
    optimizer = torch.optim.Adam(net.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    net(torch.randn(4, 20)).sum().backward()
    optimizer.step()
    scheduler.step()
    result["checkpoint"] = {"model": net.state_dict(), "optimizer": optimizer.state_dict(),
                            "scheduler": scheduler.state_dict(), "epoch": 3,
                            "rng": torch.get_rng_state()}
    return result


def rezip(data, change):
    """The archive with each member passed through change(name, bytes) -> (bytes, compression)."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            content, compression = change(info.filename, old.read(info))
            new.writestr(info.filename, content, compression)
    return out.getvalue()


def write_variants(folder):
    """Files that hold an object in an unusual way: (path, what Tarn must read)."""
    base = {"w": torch.arange(6.0).reshape(2, 3).t(), "n": 3, "s": "text", "f": [0.5, True, None]}
    buffer = io.BytesIO()
    torch.save(base, buffer)
    plain = buffer.getvalue()
    files = []

    def put(name, data, value=base):
        (folder / name).write_bytes(data)
        files.append((folder / name, value))

    for protocol in (2, 3, 4, 5):
        buffer = io.BytesIO()
        torch.save({**base, "b": b"ab\xff"}, buffer, pickle_protocol=protocol)
        put(f"protocol_{protocol}.pt", buffer.getvalue(), {**base, "b": b"ab\xff"})
    location_tag = torch.serialization.location_tag
    for tag in ("cuda:5", "cuda", "mps", "xpu:1"):
        torch.serialization.location_tag = lambda storage, tag=tag: tag
        buffer = io.BytesIO()
        torch.save(base, buffer)
        put(f"tag_{tag.replace(':', '_')}.pt", buffer.getvalue())
    torch.serialization.location_tag = location_tag
    put("deflated.pt", rezip(plain, lambda name, data: (data, zipfile.ZIP_DEFLATED)))
    put("stored_again.pt", rezip(plain, lambda name, data: (data, zipfile.ZIP_STORED)))
    put("no_extension", plain)
    put("named.safetensors", plain)

    x = torch.ones(3)
    x.note = "an attribute"
    scheduler = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([x], lr=0.1), [3, 5])
    nested = defaultdict(list)
    nested["k"].append(1)
    for name, value, wanted in (
        ("attribute.pt", x, torch.ones(3)),
        ("counter.pt", Counter("aab"), {"a": 2, "b": 1}),
        ("multistep.pt", scheduler.state_dict(),
         {**scheduler.state_dict(), "milestones": {3: 1, 5: 1}}),
        ("defaultdict.pt", nested, {"k": [1]}),
        ("size.pt", torch.Size([2, 3]), (2, 3)),
        ("dtype.pt", [torch.float16, torch.device("cuda:1")], ["torch.float16", "cuda:1"]),
    ):
        torch.save(value, folder / name)
        files.append((folder / name, wanted))
    # In the order in which save_file puts them.
    tensors = {"b": torch.arange(3), "a": torch.ones(2, 2), "e": torch.zeros(0),
               "c": torch.tensor(True)}
    path = folder / "flat.safetensors"
    safetensors.torch.save_file(tensors, path, metadata={"k": "v"})
    files.append((path, MetadataDict(tensors, {"k": "v"})))
    return files


class MetadataDict(dict):
    """A dict with the attribute Tarn keeps `__metadata__` in."""

    def __init__(self, items, metadata):
        super().__init__(items)
        self._metadata = metadata


def write_refused(folder):
    """Files Tarn must refuse: (path, a word of the error)."""
    import numpy

    cases = {
        "module.pt": (torch.nn.Linear(2, 2), "state_dict"),
        "numpy.pt": ({"loss": numpy.float64(0.5)}, "float(x)"),
        "complex.pt": (torch.zeros(2, dtype=torch.complex64), "unsupported"),
        "sparse.pt": (torch.eye(2).to_sparse(), "unsupported"),
        "quantized.pt": (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
                         "unsupported"),
        "float8.pt": (torch.zeros(2).to(torch.float8_e4m3fn), "unsupported"),
        "uint16.pt": (torch.zeros(2, dtype=torch.uint16), "unsupported"),
        "storage.pt": (torch.ones(2).untyped_storage(), "unsupported"),
        "big.pt": ([2**64], "integer"),
        "set.pt": ({1, 2}, "builtins.set"),
    }
    files = []
    for name, (value, word) in cases.items():
        torch.save(value, folder / name)
        files.append((folder / name, word))
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "script.pt")
    numpy.save(folder / "objects.npy", numpy.array([{}], dtype=object), allow_pickle=True)
    numpy.save(folder / "complex.npy", numpy.zeros(2, dtype=numpy.complex64))
    torch.save(torch.nn.Linear(2, 2), folder / "legacy_module.pt",
               _use_new_zipfile_serialization=False)
    return files + [(folder / "script.pt", "TorchScript"), (folder / "objects.npy", "object"),
                    (folder / "complex.npy", "unsupported"),
                    (folder / "legacy_module.pt", "state_dict")]
