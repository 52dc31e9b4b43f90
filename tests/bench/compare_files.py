#!/usr/bin/env python3
"""Compares saving and loading a model with the bare system calls and with PyTorch.

usage: build/venv/bin/python tests/bench/compare_files.py build/release/tests/bench/bench_files
       [--dir DIR] [--mib MIB] [--rounds ROUNDS]

Each round runs bench_files (./dev bench builds it), which checks its results, and PyTorch on the
file Tarn has written; a case's time is the best of the rounds. The page cache is warm. Prints a
Markdown table: the times, the ratios, and the limits that the ratios are meant to keep.
"""
import argparse
import pathlib
import subprocess
import tempfile
import time

import torch

# case: (what it is compared with, the most that may be times it)
LIMITS = [
    ("save", "raw write", 1.5), ("save", "torch.save", 1.0),
    ("save safetensors", "raw write", 1.5),
    ("save durable", "raw write and fsync", 1.3), ("load_into", "raw read", 2.0),
    ("load_into", "torch.load", 1.0), ("load_into without CRC", "raw read", 2.0),
    ("load_into safetensors", "raw read", 2.0), ("load", "torch.load", 1.0),
]


def run_tarn(program, folder, mib):
    """{case: (seconds, MiB of memory)} of one round."""
    done = subprocess.run([program, folder, str(mib), "1"], check=True, text=True,
                          stdout=subprocess.PIPE)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {name: (float(seconds), float(memory)) for name, seconds, memory in rows}


def run_torch(folder):
    times = {}
    state = torch.load(folder / "model.pt")
    path = folder / "torch.pt"
    for _ in range(2):
        path.unlink(missing_ok=True)
        for name, step in (("torch.save", lambda: torch.save(state, path)),
                           ("torch.load", lambda: torch.load(path))):
            start = time.perf_counter()
            step()
            times[name] = min(times.get(name, 1e9), time.perf_counter() - start)
    path.unlink()
    return {name: (seconds, 0) for name, seconds in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--dir", help="where the files go; a disk, not a tmpfs")
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    best, memory = {}, {}
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = pathlib.Path(name)
        for _ in range(arguments.rounds):
            results = run_tarn(arguments.program, folder, arguments.mib) | run_torch(folder)
            for case, (seconds, mib) in results.items():
                best[case] = min(best.get(case, 1e9), seconds)
                memory[case] = max(memory.get(case, 0), mib)
    print(f"{arguments.mib} MiB, best of {arguments.rounds}\n\n| case | ms | MiB beside the "
          "tensors |\n|---|---|---|")
    for case, seconds in best.items():
        print(f"| {case} | {1000 * seconds:.1f} | {memory[case]:.0f} |")
    print("\n| ratio | | at most |\n|---|---|---|")
    for case, other, limit in LIMITS:
        print(f"| {case} / {other} | {best[case] / best[other]:.2f} | {limit} |")


if __name__ == "__main__":
    main()
