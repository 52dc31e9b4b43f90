#!/usr/bin/env python3
"""Exchanges files with PyTorch in both directions and compares everything that must survive them.

usage: build/venv/bin/python tests/interop/run.py [--tool interop_tool] [--large]

Prints one line per failed check and a summary; the exit status is 0 when every check passed.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import warnings
from collections import OrderedDict

import safetensors.torch
import torch

import matrix
import objects

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Describer:
    """The same text as the tool's describe, or describe-elements, from Python's objects."""

    def __init__(self, elements_only=False):
        self.storages = {}
        self.elements_only = elements_only

    def __call__(self, obj):
        if obj is None or isinstance(obj, (bool, int)):
            return str(obj)
        if isinstance(obj, float):
            return "float:" + struct.pack("<d", obj).hex()
        if isinstance(obj, str):
            return "str:" + obj.encode().hex()
        if isinstance(obj, bytes):
            return "bytes:" + obj.hex()
        if isinstance(obj, torch.Tensor):
            return self.tensor(obj)
        if isinstance(obj, dict):
            ordered = isinstance(obj, OrderedDict)
            text = "OrderedDict{" if ordered else "dict{"
            text += "".join(f"{self(key)}: {self(value)}, " for key, value in obj.items()) + "}"
            metadata = getattr(obj, "_metadata", None)
            return text if metadata is None else f"{text} _metadata {self(metadata)}"
        left, right = "[]" if isinstance(obj, list) else "()"
        return left + "".join(f"{self(item)}, " for item in obj) + right

    def tensor(self, x):
        storage = x.untyped_storage()
        number = self.storages.setdefault(storage._cdata, len(self.storages))
        dense = x.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
        data = bytes(dense.view(torch.uint8).numpy()) if dense.numel() else b""
        if self.elements_only:
            return f"Tensor({str(x.dtype)[6:]}, {list(x.shape)}, {data.hex()})"
        grad = ", grad" if x.requires_grad else ""
        place = f"offset {x.storage_offset()}, storage {number} of {storage.nbytes()}"
        return (f"Tensor({str(x.dtype)[6:]}, {list(x.shape)}, {list(x.stride())}, {place}{grad}, "
                f"{data.hex()})")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(20, 32)
        self.output = torch.nn.Linear(32, 10)

    def forward(self, x):
        return self.output(torch.relu(self.hidden(x)))


def optimizers():
    """Yields (name, net, optimizer) as the tool's for_each_optimizer."""
    makers = {
        "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
        "adam": lambda groups: torch.optim.Adam(groups, lr=1e-2),
        "adamw": lambda groups: torch.optim.AdamW(groups, lr=1e-2),
    }
    for name, make in makers.items():
        net = Net()
        yield name, net, make([{"params": net.hidden.parameters()},
                               {"params": net.output.parameters(), "weight_decay": 0.1}])


def train_step(net, optimizer, x, target):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x), target).backward()
    optimizer.step()


class Exchange:
    def __init__(self, tool, folder):
        self.tool, self.folder = tool, folder
        self.passed, self.failed = 0, 0

    def run(self, *arguments):
        result = subprocess.run([self.tool, *map(str, arguments)], capture_output=True, text=True)
        if result.returncode != 0:
            self.check(f"interop_tool {arguments[0]}", False, result.stderr.strip()[-500:])
        return result.stdout.splitlines()

    def check(self, name, passed, detail=""):
        if passed:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {detail}")

    def equal(self, name, actual, wanted):
        at = next((i for i, (a, b) in enumerate(zip(actual, wanted)) if a != b),
                  min(len(actual), len(wanted)))
        part = slice(max(0, at - 40), at + 80)
        self.check(name, actual == wanted,
                   f"differs at {at}: {actual[part]!r}, not {wanted[part]!r}")

    def close(self, name, actual, wanted):
        difference = (actual - wanted).abs().max().item()
        self.check(name, difference <= 1e-6, f"largest difference {difference}")

    def same_bytes(self, name, path, other):
        self.check(name, path.read_bytes() == other.read_bytes(), f"{path} and {other} differ")

    def tarn_to_python(self):
        folder = self.folder / "tarn"
        (folder / "again").mkdir(parents=True)
        for line in self.run("write", folder):
            name, wanted = line.split("\t")
            path = folder / f"{name}.pt"
            value = torch.load(path)
            self.equal(f"torch.load of Tarn's {name}", Describer()(value), wanted)
            self.equal(f"mmap of Tarn's {name}", Describer()(torch.load(path, mmap=True)), wanted)
            again = folder / "again" / path.name
            torch.save(value, again)
            # A checkpoint's key "cpu" and the name of the storages' device are one string in Tarn's
            # file, and two objects of equal text in Python, which writes both.
            if name != "checkpoint":
                self.same_bytes(f"Tarn's bytes of {name} are PyTorch's", path, again)
            flat = path.with_suffix(".safetensors")
            if flat.exists():
                tensor = safetensors.torch.load_file(flat)["t"]
                self.check(f"safetensors of {name}",
                           torch.equal(tensor, value) and tensor.dtype == value.dtype)
                tensors = {"t": value.contiguous()}
                safetensors.torch.save_file(tensors, again, metadata={"format": "pt"})
                self.same_bytes(f"Tarn's safetensors bytes of {name}", flat, again)

    def python_to_tarn(self):
        folder = self.folder / "python"
        (folder / "again").mkdir(parents=True)
        cases = objects.make()
        for name, value in cases.items():
            torch.save(value, folder / f"{name}.pt")
        paths = [folder / f"{name}.pt" for name in cases]
        again = [folder / "again" / path.name for path in paths]
        for name, text in zip(cases, self.run("describe", *paths), strict=True):
            self.equal(f"Tarn's load of {name}", text, Describer()(cases[name]))
        self.run("rewrite", *[p for pair in zip(paths, again) for p in pair])
        for name, path, other in zip(cases, paths, again):
            if name not in objects.REWRITTEN_DIFFERENTLY:
                self.same_bytes(f"{name} rewritten by Tarn", path, other)

        for name, value in cases.items():
            torch.save(value, folder / f"{name}.old.pt", _use_new_zipfile_serialization=False)
        paths = [folder / f"{name}.old.pt" for name in cases]
        for name, text in zip(cases, self.run("describe", *paths), strict=True):
            self.equal(f"Tarn's load of {name} in the legacy format", text,
                       Describer()(cases[name]))

        variants = objects.write_variants(folder)
        lines = self.run("describe", *[path for path, _ in variants])
        for (path, value), text in zip(variants, lines, strict=True):
            self.equal(f"Tarn's load of {path.name}", text, Describer()(value))
        refused = objects.write_refused(folder)
        lines = self.run("describe", *[path for path, _ in refused])
        for (path, word), text in zip(refused, lines, strict=True):
            self.check(f"Tarn refuses {path.name}", text.startswith("error: ") and word in text,
                       text[:300])

    def containers(self):
        """Every dtype, shape and layout in every container, in both directions."""
        folder = self.folder / "containers"
        folder.mkdir()
        cases = matrix.write(folder)
        lines = self.run("describe-elements", *[case.path for case in cases])
        for case, text in zip(cases, lines, strict=True):
            self.equal(f"Tarn's load of {case.path.name}", text, Describer(True)(case.value))
        copies = [case.path.with_name("tarn_" + case.path.name) for case in cases]
        pairs = zip(cases, copies)
        self.run("convert", *[path for case, copy in pairs for path in (case.source, copy)])
        for case, copy in zip(cases, copies):
            self.equal(f"Python's load of {copy.name}", Describer(True)(matrix.read(copy)),
                       Describer(True)(case.value))
            if case.same_bytes:
                self.same_bytes(f"Tarn's bytes of {case.path.name}", copy, case.path)

    def large(self):
        """Archives of more than 65,535 records and of more than 4 GiB, in both directions."""
        folder = self.folder / "large"
        (folder / "again").mkdir(parents=True)
        path, other, flat = folder / "x.pt", folder / "again/x.pt", folder / "flat.safetensors"
        torch.save([torch.full((1,), i) for i in range(70000)], path)
        self.run("rewrite", path, other)
        self.same_bytes("70,000 records rewritten by Tarn", path, other)
        self.check("70,000 records", len(torch.load(other)) == 70000)

        size = (4 << 30) + 64
        header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]},
                             "b": {"dtype": "U8", "shape": [3], "data_offsets": [size, size + 3]}})
        header = header.ljust(-len(header) % 8 + len(header)).encode()
        with open(flat, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.seek(size, 1)
            file.write(b"\x01\x02\x03")
        torch.save(safetensors.torch.load_file(flat), path)
        self.run("rewrite-mapped", path, other)
        with open(path, "rb") as a, open(other, "rb") as b:
            same = True
            while same and (piece := a.read(1 << 24)):
                same = piece == b.read(1 << 24)
            self.check("4 GiB rewritten by Tarn", same and not b.read(1))
        value = torch.load(other, mmap=True)
        self.check("beyond 4 GiB", value["b"].tolist() == [1, 2, 3] and len(value["a"]) == size)

    def modules(self):
        folder = self.folder / "train"
        (folder / "again").mkdir(parents=True)
        self.run("train", folder)
        x, target = torch.load(folder / "x.pt"), torch.load(folder / "target.pt")
        for name, net, optimizer in optimizers():
            optimizer.load_state_dict(torch.load(folder / f"{name}.fresh.pt"))
            state = torch.load(folder / f"{name}.net.pt")
            reference = net.state_dict()
            self.equal(f"{name}: state_dict keys", list(state), list(reference))
            self.equal(f"{name}: _metadata", str(state._metadata), str(reference._metadata))
            net.load_state_dict(state, strict=True)
            self.close(f"{name}: outputs of Tarn's net", net(x),
                       torch.load(folder / f"{name}.output.pt"))
            flat = safetensors.torch.load_file(folder / f"{name}.net.safetensors")
            self.check(f"{name}: safetensors state",
                       all(torch.equal(flat[key], state[key]) for key in state))
            optimizer.load_state_dict(torch.load(folder / f"{name}.optimizer.pt"))
            train_step(net, optimizer, x, target)
            self.close(f"{name}: a step on Tarn's optimizer state", net(x),
                       torch.load(folder / f"{name}.next_output.pt"))

            saved = torch.load(folder / f"{name}.optimizer.pt")
            plain = type(optimizer)([torch.ones(1, requires_grad=True)], lr=0.1)
            options = list(plain.state_dict()["param_groups"][0])
            for group in saved["param_groups"]:
                self.equal(f"{name}: options of a group", list(group), options)
            for stem in (f"{name}.net", f"{name}.optimizer", f"{name}.fresh"):
                again = folder / "again" / f"{stem}.pt"
                torch.save(torch.load(folder / again.name), again)
                self.same_bytes(f"Tarn's bytes of {stem}", folder / again.name, again)

        torch.manual_seed(3)
        nets = {}
        for name, net, optimizer in optimizers():
            for _ in range(3):
                train_step(net, optimizer, x, target)
            torch.save(net.state_dict(), folder / f"{name}.net.pt")
            torch.save(optimizer.state_dict(), folder / f"{name}.optimizer.pt")
            nets[name] = [net(x).detach()]
            train_step(net, optimizer, x, target)
            nets[name].append(net(x).detach())
        self.run("resume", folder)
        for name, (output, next_output) in nets.items():
            self.close(f"{name}: outputs of PyTorch's net in Tarn",
                       torch.load(folder / f"{name}.output_by_tarn.pt"), output)
            self.close(f"{name}: a step on PyTorch's optimizer state in Tarn",
                       torch.load(folder / f"{name}.next_output_by_tarn.pt"), next_output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tool", default=ROOT / "build/release/tests/interop_tool")
    parser.add_argument("--large", action="store_true",
                        help="also archives of more than 4 GiB: needs 15 GB of disk, 10 of memory")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # PyTorch's deprecations of what Tarn must refuse
    with tempfile.TemporaryDirectory(prefix="tarn-interop-") as folder:
        exchange = Exchange(arguments.tool, pathlib.Path(folder))
        exchange.tarn_to_python()
        exchange.python_to_tarn()
        exchange.containers()
        exchange.modules()
        if arguments.large:
            exchange.large()
    print(f"interop with PyTorch {torch.__version__}: {exchange.passed} checks passed, "
          f"{exchange.failed} failed")
    return 1 if exchange.failed or not exchange.passed else 0


if __name__ == "__main__":
    sys.exit(main())
