#!/usr/bin/env python3
"""Builds Tarn for the GPU of this machine, tests it there and compares it with PyTorch.

Needs nvcc, cmake, ninja, g++ and a Python with PyTorch; no network. Results go to a JSON file
after every stage, so that what was found is kept if a later stage is cut off; a table comes last.
Exit status 0 means that every stage that could run passed.

--selftest runs the same stages on the CUDA emulator, on small sizes, without a GPU.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITES = ("device", "kernels", "core", "nn", "io")
# With the tests of kernels to run. Pointwise kernels have no shared memory to race in.
SANITIZERS = {"memcheck": "*", "racecheck": "~*pointwise*", "synccheck": "*", "initcheck": "*"}


class Report:
    def __init__(self, path):
        self.path = path
        self.data = {"date": datetime.date.today().isoformat(), "stages": []}

    def add(self, stage, status, **details):
        self.data["stages"].append({"stage": stage, "status": status, **details})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n")
        brief = ", ".join(f"{k} {v}" for k, v in details.items() if not isinstance(v, (dict, list)))
        print(f"{stage}: {status}" + (f" ({brief})" if brief else ""), flush=True)

    def failed(self):
        return [s["stage"] for s in self.data["stages"] if s["status"] == "failed"]


def run(command, limit, log=None):
    """(exit status, all it printed, seconds); 124 when it ran past `limit` seconds."""
    start = time.monotonic()
    try:
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=limit, cwd=ROOT)
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, text = 124, (late.stdout or b"").decode(errors="replace")
    if log:
        log.write_text(text)
    return status, text, round(time.monotonic() - start, 1)


def last_line(command):
    try:
        return run(command, 20)[1].strip().splitlines()[-1]
    except (OSError, IndexError):
        return "absent"


def suites(args):
    # The emulator's tests of every suite are a stage of CI of their own.
    return SUITES[:1] if args.selftest else SUITES


def environment(report, args):
    commit, carried = last_line(["git", "rev-parse", "HEAD"]), args.carried / "commit"
    if carried.exists() and not re.fullmatch("[0-9a-f]{40}", commit):
        commit = carried.read_text().strip()
    facts = {"commit": commit, "nvcc": last_line(["nvcc", "--version"])}
    if args.selftest:
        facts["gpu"] = "emulator"
    else:
        query = "--query-gpu=name,driver_version,memory.total"
        facts["gpu"] = last_line(["nvidia-smi", query, "--format=csv,noheader"])
    import torch
    facts["torch"] = torch.__version__
    # Both sides use one cuBLAS: the one that PyTorch brings.
    site = pathlib.Path(torch.__file__).parents[1]
    for found in site.glob("nvidia/**/libcublasLt.so.*"):
        os.environ.setdefault("TARN_CUDA_LIBS", str(found.parent))
    report.data["environment"] = facts
    usable = args.selftest or torch.cuda.is_available()
    report.add("environment", "passed" if usable else "failed", **facts)
    return usable


def build(report, args):
    if args.selftest:
        configure = ["cmake", "--preset", "asan"]
    else:
        configure = ["cmake", "-S", ROOT, "-B", args.build, "-G", "Ninja", "-DTARN_CUDA=ON",
                     "-DCMAKE_CUDA_ARCHITECTURES=native", "-DCMAKE_BUILD_TYPE=Release",
                     "-DTARN_BUILD_SAMPLES=OFF", f"-DCMAKE_PREFIX_PATH={args.carried}"]
        if (args.carried / "include/cublasLt.h").exists():
            configure.append(f"-DTARN_NVIDIA_HEADERS_DIR={args.carried}")
    status, text, seconds = run(configure, 120)
    if status == 0:
        targets = [f"test_{suite}" for suite in suites(args)] + ["gpu_tool"]
        status, text, more = run(["cmake", "--build", args.build, "--target", *targets], 1500)
        seconds += more
    report.add("build", "passed" if status == 0 else "failed", seconds=round(seconds, 1))
    if status != 0:
        errors = [line for line in text.splitlines() if "error" in line]
        print("\n".join(errors[:20]) or text[-3000:])
    return status == 0


def at_once(work, items):
    """[(item, work(item)), ...], all done at the same time: most of it is waiting."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        return list(zip(items, pool.map(work, items)))


def tests(report, args):
    def suite(name):
        return run([args.build / f"tests/test_{name}"], 300)
    for name, (status, text, seconds) in at_once(suite, suites(args)):
        closing = [line for line in text.splitlines()
                   if "assertions" in line or "test cases" in line]
        report.add(f"tests: {name}", "passed" if status == 0 else "failed", seconds=seconds,
                   result=closing[-1].strip("= ") if closing else text[-300:])
        if status != 0:
            print(text[-3000:])


def sanitizers(report, args):
    program = shutil.which("compute-sanitizer")
    if args.selftest or not program:
        for tool in SANITIZERS:
            report.add(f"compute-sanitizer: {tool}", "absent")
        return

    def check(tool):
        command = [program, "--tool", tool, "--error-exitcode", "9",
                   args.build / "tests/test_kernels", SANITIZERS[tool]]
        return run(command, args.sanitizer_seconds, args.build / f"{tool}.log")
    for tool, (status, text, seconds) in at_once(check, list(SANITIZERS)):
        unable = (re.search(r"not supported|Unable to|requires", text) and
                  "ERROR SUMMARY" not in text)
        cut_off = status == 124 and "=========     " not in text  # nothing found until then
        outcome = ("passed" if status == 0 else "cut off" if cut_off else
                   "unsupported" if unable else "failed")
        report.add(f"compute-sanitizer: {tool}", outcome, seconds=seconds,
                   summary=text.strip().splitlines()[-1][:200] if text.strip() else "")


def parity(report, args):
    import torch
    import parity as cases
    torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device("cpu" if args.selftest else "cuda")
    expected = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for title, (make, tolerance) in cases.CASES.items():
            inputs, outputs = make(title, lambda t: t.to(device))
            torch.save([t.cpu() for t in inputs], folder / f"{title}.in")
            expected[title] = [t.detach().cpu() for t in outputs], tolerance
        command = [args.build / "tests/gpu_tool", "parity", "cuda:0", folder]
        status, text, seconds = run(command, 300)
        worst, wrong = {}, [] if status == 0 else [text[-500:]]
        for title, (outputs, tolerance) in expected.items() if status == 0 else ():
            found = torch.load(folder / f"{title}.out")
            for i, (a, b) in enumerate(zip(found, outputs, strict=True)):
                difference = (a.double() - b.double()).abs().max().item() if a.numel() else 0.0
                worst[title] = max(worst.get(title, 0.0), difference)
                if not torch.allclose(a.double(), b.double(), **tolerance):
                    wrong.append(f"{title}, output {i}: differs by {difference:.3g}")
    report.add("parity with PyTorch", "failed" if wrong else "passed", seconds=seconds,
               cases=len(expected), largest_differences=worst, wrong=wrong)


def ceilings(device):
    """Bytes per second of a copy and operations per second of a product, as this GPU does them."""
    import torch
    from torch_speed import time_of
    x = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    y = torch.empty_like(x)
    m = torch.rand(8192, 8192, device=device)
    bandwidth = 2 * x.numel() / time_of(device, lambda: y.copy_(x))
    return bandwidth, 2 * 8192**3 / time_of(device, lambda: m @ m)


def speed(report, args):
    import torch
    import torch_speed
    device = torch.device("cpu" if args.selftest else "cuda")
    scale = 1024 if args.selftest else 1
    status, text, seconds = run([args.build / "tests/gpu_tool", "speed", "cuda:0", scale], 300)
    if status != 0:
        return report.add("speed", "failed", seconds=seconds, text=text[-500:])
    tarn = {name: float(value) for name, value in
            (line.split("\t") for line in text.strip().splitlines())}
    bandwidth, flops = (None, None) if args.selftest else ceilings(device)
    rows = []
    for name, torch_result in torch_speed.measure(device, scale).items():
        bound = 0 if args.selftest else max(torch_result["bytes"] / bandwidth,
                                            torch_result["flops"] / flops)
        rows.append({"name": name, "tarn": tarn[name], "tarn_graph": tarn.get(f"{name}, graph"),
                     "torch_eager": torch_result["eager"], "torch_graph": torch_result["graph"],
                     "bound": bound})
    report.add("speed", "passed", seconds=seconds, bandwidth=bandwidth, flops=flops, rows=rows)
    if not args.selftest:  # an emulator's times say nothing
        print_table(rows)


def print_table(rows):
    def us(x):
        return f"{x * 1e6:12.1f}" if x else f"{'-':>12}"
    def best(r, who):
        return min(x for key, x in r.items() if key.startswith(who) and x)
    columns = {"Tarn": "tarn", "Tarn graph": "tarn_graph", "torch eager": "torch_eager",
               "torch graph": "torch_graph", "bound": "bound"}
    print(f"{'us':16}" + "".join(f"{title:>12}" for title in columns) + "  ratio")
    for r in rows:
        ratio = best(r, "torch") / best(r, "tarn")
        print(f"{r['name']:16}" + "".join(us(r[key]) for key in columns.values()) +
              f"  {ratio:.2f}" + ("  WORSE THAN TORCH" if ratio < 0.95 else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--selftest", action="store_true", help="on the emulator, without a GPU")
    parser.add_argument("--build", type=pathlib.Path, help="build folder")
    parser.add_argument("--carried", type=pathlib.Path, default=ROOT / "build/gpu-carried",
                        help="headers that the machine lacks, from ./dev gpu-check --pack")
    parser.add_argument("--sanitizer-seconds", type=int, default=150,
                        help="after which a compute-sanitizer run is cut off")
    parser.add_argument("--out", type=pathlib.Path, help="results file")
    args = parser.parse_args()
    args.build = args.build or ROOT / ("build/asan" if args.selftest else "build/gpu")
    partial = args.out or args.build / "gpu-check.json"
    report = Report(partial)
    if environment(report, args) and build(report, args):
        parity(report, args)
        speed(report, args)
        tests(report, args)
        sanitizers(report, args)
    gpu = re.sub(r"[^A-Za-z0-9]+", "-", report.data["environment"]["gpu"].split(",")[0]).strip("-")
    if not args.out and not args.selftest:
        final = ROOT / f"docs/gpu/results-{report.data['date']}-{gpu}.json"
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(partial, final)
        print(f"results: {final}")
    failed = report.failed()
    passed = sum(stage["status"] == "passed" for stage in report.data["stages"])
    print("".join(f"failed: {stage}\n" for stage in failed) +
          f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    sys.exit(main())
