#!/usr/bin/env bash
# Makes print.txt with the libtorch inside the Python that `./dev interop` makes.
# usage: tests/golden/make_print_golden.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")"
python=$(realpath -s "${1:-../../build/venv/bin/python}")
torch=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$(realpath ../..)" "$work/tarn"
g++ -std=c++20 -w -I"$work" -I"$torch/include" -I"$torch/include/torch/csrc/api/include" \
  make_print_golden.cpp -o "$work/print" \
  -L"$torch/lib" -ltorch -ltorch_cpu -lc10 -Wl,-rpath,"$torch/lib"
"$work/print" >print.txt
echo "print.txt: $(grep -c '^=== ' print.txt) cases"
