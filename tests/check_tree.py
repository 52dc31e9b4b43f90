#!/usr/bin/env python3
"""Checks the rules of the source tree that no compiler knows: layers, sizes, columns, leftovers.

usage: tests/check_tree.py [--selftest]

The self-test plants a violation of each rule in a scratch tree and fails unless it is found.
"""

import collections
import pathlib
import re
import sys
import tempfile

LAYERS = ["device", "kernels", "core", "nn", "io"]
# Headers under libtorch's names, which show users <tarn/tarn.h>; no layer may include them.
COMPAT = "compat"
LIBRARY = LAYERS + [COMPAT, "tarn.h", "fwd.h"]
CODE = {".h", ".cpp", ".inc", ".cu", ".cuh", ".py", ".sh", ".cmake", ""}
TEXT = CODE | {".md", ".txt", ".in", ".json"}
SKIPPED = {".git", "build", "__pycache__", "LICENSE"}
SOFT_LINES, HARD_LINES, COLUMNS = 300, 500, 100
LIBRARY_BUDGET = 10_000
# Where kernels meet the emulator's device language instead of nvcc's.
EMULATOR_SEAM = ("kernels/cuda/gpu.h", "tarn/tests/cuda_emulator/device.h")
# Pages of code that are kept as they are printed elsewhere.
VERBATIM = {pathlib.Path("tests/consumer/program/first_page.cpp")}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
# Written in two halves so that this file does not contain what it looks for.
LEFTOVERS = re.compile(
    "|".join(
        [
            r"\bTO" r"DO\b",
            r"\bFIX" r"ME\b",
            r"\bXX" r"X\b",
            r"\bHA" r"CK\b",
            "not implemented" " yet",
            r"\[!may" r"fail\]",
            r"\[\.\w*" r"\]\"",
            r"(?<![\w.])/wor" r"k/",
            r"\.\./sha" r"red",
            "bash_" "jobs",
        ]
    )
)


def files(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not path.is_symlink() and not SKIPPED & set(relative.parts):
            yield relative


def layer_errors(path, number, line):
    """An include may name its own layer or one below it, always as "tarn/<layer>/..."."""
    match = INCLUDE.match(line)
    if not match or path.suffix == ".py":
        return
    quote, name = match.groups()
    top = path.parts[0]
    if quote == '"' and not name.startswith("tarn/"):
        yield f'include "{name}" is not spelled "tarn/..."'
    if top in LAYERS and name.split("/")[0] in ("torch", "ATen", "c10"):
        yield f"{top}/ includes {name}, which is for users only"
    if top == COMPAT and name.startswith("tarn/") and name != "tarn/tarn.h":
        yield f"{COMPAT}/ includes {name}, not tarn/tarn.h"
    if top not in LAYERS or not name.startswith("tarn/"):
        return
    target = name.split("/")[1]
    if (path.as_posix(), name) == EMULATOR_SEAM:
        return
    if target not in LAYERS:
        yield f"{top}/ includes {name}, which is no layer below it"
    elif LAYERS.index(target) > LAYERS.index(top):
        yield f"{top}/ includes {name}: a layer includes only what stands below it"


def file_errors(root, path):
    try:
        text = (root / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield 0, "not UTF-8 text"
        return
    lines = text.split("\n")
    is_code = path.suffix in CODE or path.name == "CMakeLists.txt"
    if is_code and len(lines) - 1 > HARD_LINES:
        yield 0, f"{len(lines) - 1} lines; the hard cap is {HARD_LINES}"
    if path.suffix == ".h" and "#pragma once" not in lines:
        yield 0, "header without #pragma once"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if is_code and path not in VERBATIM and len(line) > COLUMNS:
            yield number, f"{len(line)} columns; the cap is {COLUMNS}"
        if is_code and (line != line.rstrip() or "\t" in line):
            yield number, "tab or trailing space"
        if match := LEFTOVERS.search(line):
            yield number, f"leftover '{match.group()}'"
        yield from ((number, error) for error in layer_errors(path, number, line))


def check(root):
    """Returns (errors, notes), each a list of lines."""
    errors, notes, library = [], [], collections.Counter()
    for path in files(root):
        if {"utils", "common"} & set(path.parts):
            errors.append(f"{path}: there is no utils/ and no common/")
        if path.suffix not in TEXT:
            continue
        errors += [f"{path}:{number}: {error}" for number, error in file_errors(root, path)]
        lines = (root / path).read_bytes().count(b"\n")
        if path.suffix in CODE and SOFT_LINES < lines <= HARD_LINES:
            notes.append(f"{path}: {lines} lines; past {SOFT_LINES}, look for a seam")
        if path.parts[0] in LIBRARY and path.suffix in CODE:
            library[path.parts[0]] += lines
    layers = ", ".join(f"{name} {lines}" for name, lines in library.most_common())
    notes.append(f"library: {library.total()} lines of {LIBRARY_BUDGET} ({layers})")
    return errors, notes


def selftest():
    plants = {
        "device/up.h": ('#pragma once\n#include "tarn/core/tensor.h"\n', "only what stands below"),
        "core/all.cpp": ("#include <tarn/tarn.h>\n", "no layer below"),
        "io/torch.cpp": ("#include <torch/torch.h>\n", "for users only"),
        "compat/torch/nn.h": ("#pragma once\n#include <tarn/nn/nn.h>\n", "not tarn/tarn.h"),
        "nn/short.cpp": ('#include "linear.h"\n', 'is not spelled "tarn/'),
        "io/long.cpp": ("int a;\n" * (HARD_LINES + 1), "the hard cap"),
        "io/open.h": ("int a;\n", "without #pragma once"),
        "io/wide.cpp": ("//" + "x" * COLUMNS + "\n", "columns"),
        "io/tab.cpp": ("\tint a;\n", "tab or trailing"),
        "io/end.cpp": ("int a;", "no newline"),
        "io/utils/a.cpp": ("int a;\n", "no utils/"),
        "docs/a.md": ("TO" "DO: write\n", "leftover"),
        "docs/b.md": ("see /wor" "k/main\n", "leftover"),
        "docs/c.md": ("see ../sha" "red\n", "leftover"),
        "tests/a.cpp": ('TEST_CASE("a", "[.' 'slow]") {}\n', "leftover"),
        "nn/fine.cpp": (
            '#include "tarn/nn/a.h"\n#include "tarn/core/b.h"\n#include <vector>\n',
            None,
        ),
    }
    missed = []
    for name, (text, wanted) in plants.items():
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text(text)
            errors, _ = check(root)
            found = [error for error in errors if wanted is not None and wanted in error]
            if len(errors) != len(found) or bool(found) != (wanted is not None):
                missed.append(f"{name}: wanted {wanted!r}, found {errors}")
    for line in missed:
        print("check_tree selftest:", line)
    print(
        f"check_tree selftest: {len(plants) - len(missed)} of {len(plants)} plants judged rightly"
    )
    return 1 if missed else 0


def main():
    if sys.argv[1:] == ["--selftest"]:
        return selftest()
    errors, notes = check(pathlib.Path(__file__).resolve().parent.parent)
    for line in notes:
        print("note:", line)
    for line in errors:
        print("error:", line)
    print(f"check_tree: {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
