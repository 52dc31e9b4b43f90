#!/usr/bin/env python3
"""Writes the golden files of this folder with PyTorch: what Tarn's tests compare its results with.

usage: build/venv/bin/python tests/golden/make_golden.py [NAME...]
NAME: pointwise ops layers optim random torch_files

`./dev interop` makes that Python. Every file names in its metadata the PyTorch that made it. The
committed files are PyTorch 2.13.0's; with it, the script makes the same files again on any machine
with AVX2: it takes the one code path that PyTorch has for all of these.
"""

import os
import pathlib
import sys

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"

import safetensors.torch
import torch

import layers
import ops
import optim
import pointwise
import random_numbers
import torch_files

MAKERS = {
    "pointwise": pointwise.make,
    "ops": ops.make,
    "layers": layers.make,
    "optim": optim.make,
    "random": random_numbers.make,
    "torch_files": torch_files.make,
}


def main():
    torch.set_num_threads(1)
    # oneDNN's gelu of infinity is NaN.
    torch.backends.mkldnn.set_flags(False)
    here = pathlib.Path(__file__).resolve().parent
    for name in sys.argv[1:] or MAKERS:
        torch.manual_seed(20130713)
        tensors = {}
        MAKERS[name](tensors)
        # Sorted, so that the same values give the same file.
        tensors = {key: tensors[key].detach().contiguous().clone() for key in sorted(tensors)}
        path = here / f"{name}.safetensors"
        safetensors.torch.save_file(tensors, path, metadata={"torch": torch.__version__})
        print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
