#!/usr/bin/env python3
"""Runs tarn_bench and libtorch_bench in turn and prints how many times faster Tarn is (Markdown).

Builds nothing. Each round starts every (program, thread count) pair once, in an order that is
reversed in every other round; a case's time is the median over the rounds, and each library is
given the thread count that suits it best, case by case. Both programs must come to the same
numbers, or the exit status is 1.
"""
import argparse
import os
import platform
import statistics
import subprocess
import sys


def environment():
    """Without what makes the BLAS of some libtorch builds slower than it is."""
    dropped = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {k: v for k, v in os.environ.items() if k not in dropped}


def run(program, threads, text):
    """{case: (seconds, [result numbers])} of one run, in the program's order."""
    command = [program, str(threads)] + ([text] if text else [])
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}")
    cases = {}
    for line in done.stdout.splitlines():
        name, seconds, *result = line.split("\t")
        cases[name] = (float(seconds), [float(x) for x in result])
    return cases


def agree(a, b, tolerance=1e-4):
    return len(a) == len(b) and all(
        abs(x - y) <= tolerance * max(1.0, abs(x), abs(y)) for x, y in zip(a, b))


def duration(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def machine():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as f:
            name = next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} CPUs, {platform.system()} {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tarn", help="path of tarn_bench")
    parser.add_argument("torch", help="path of libtorch_bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", default="1,2", help="thread counts to try (default: 1,2)")
    parser.add_argument("--filter", default="", help="only cases whose name contains this")
    args = parser.parse_args()
    counts = [int(x) for x in args.threads.split(",")]
    pairs = [(side, n) for n in counts for side in ("tarn", "torch")]
    program = {"tarn": args.tarn, "torch": args.torch}
    times, results, load = {}, {}, [os.getloadavg()[0]]
    for r in range(args.rounds):
        for side, threads in pairs if r % 2 == 0 else reversed(pairs):
            for name, (seconds, result) in run(program[side], threads, args.filter).items():
                times.setdefault(name, {}).setdefault((side, threads), []).append(seconds)
                results.setdefault(name, {})[side, threads] = result
        load.append(os.getloadavg()[0])

    print(f"Machine: {machine()}. {args.rounds} rounds, threads {args.threads}, load average "
          f"{min(load):.1f} to {max(load):.1f}.\n")
    print("| case | libtorch | threads | Tarn | threads | times faster | best runs only |")
    print("|---|---|---|---|---|---|---|")
    wrong = []
    for name, by_pair in times.items():
        if set(by_pair) != set(pairs):
            wrong.append(f"{name}: not run by both programs")
            continue
        reference = results[name]["torch", counts[0]]
        for pair, result in results[name].items():
            if not agree(result, reference):
                wrong.append(f"{name}: {pair[0]} with {pair[1]} threads got {result}, "
                             f"not {reference}")
        median, least, threads = {}, {}, {}
        for side in program:
            median[side], threads[side] = min(
                (statistics.median(by_pair[side, n]), n) for n in counts)
            least[side] = min(min(by_pair[side, n]) for n in counts)
        print(f"| {name} | {duration(median['torch'])} | {threads['torch']} "
              f"| {duration(median['tarn'])} | {threads['tarn']} "
              f"| {median['torch'] / median['tarn']:.2f} | {least['torch'] / least['tarn']:.2f} |")
    for line in wrong:
        print(f"RESULTS DIFFER: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
