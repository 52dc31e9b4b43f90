#!/usr/bin/env bash
# Builds Tarn the ways users get it, and a user's project (program/) against each.
# usage: tests/consumer/run.sh WORK_FOLDER [EMULATED_BUILD]   (WORK_FOLDER is emptied first)
#
# static and shared: installed under a prefix with a space in it, moved after installing, found with
# find_package. subdirectory: added to the user's build. In each, the user's compile commands may
# carry nothing of Tarn's own flags.
#
# EMULATED_BUILD: a static build with CUDA on the emulator. It alone is installed and used then, and
# the user's program has two GPUs.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
source=$(readlink -f "$here/../..")
work=${1:?usage: run.sh WORK_FOLDER}
rm -rf "$work"
mkdir -p "$work"
work=$(readlink -f "$work")

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)

fail() { echo "consumer: $*" >&2; exit 1; }
# quietly WHAT COMMAND...: shows what the command printed only if it fails.
quietly() { "${@:2}" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$1 failed"; }; }

# try_program NAME CMAKE_OPTION...: configures, builds and runs the user's project.
try_program() {
  local name=$1 build="$work/program $1"
  shift
  quietly "$name: configuring the program" \
    cmake -S "$here/program" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=None "$@"
  quietly "$name: building the program" cmake --build "$build" --parallel
  check_flags "$name" "$build/compile_commands.json"

  if [[ -x $build/plugin_host ]]; then
    (cd "$build" && ./plugin_host ./libplugin.so) || fail "$name: plugin_host failed"
  fi
  (cd "$build" && ./plain) || fail "$name: plain failed with status $?"
  (cd "$build" && ./libtorch_program) >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "$name: libtorch_program failed"; }
  diff "$here/program/libtorch_program.txt" "$work/log" ||
    fail "$name: libtorch_program prints other things than with libtorch"
  (cd "$build" && ./libtorch_cuda_program) >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "$name: libtorch_cuda_program failed"; }
  [[ $name != emulated ]] || grep -qx '2 CUDA devices' "$work/log" ||
    fail "$name: libtorch_cuda_program found no devices"
  # The first page ends on a device that may be absent: that is said, and nothing else fails.
  local status=0 file
  { (cd "$build" && ./first_page) >"$work/log" 2>&1; } 2>/dev/null || status=$?
  if ((status)) && ! { [[ $name != emulated ]] && grep -q 'DeviceError' "$work/log"; }; then
    cat "$work/log"
    fail "$name: first_page failed with status $status"
  fi
  for file in x-file x-files mydict mlp.params; do
    [[ -s "$build/$file" ]] || fail "$name: first_page wrote no $file"
  done
}

# A user's own sources are compiled with the standard, the include folder, and nothing else.
check_flags() {
  local found
  found=$(grep '"command"' "$2" | grep -E '(plain|first_page|libtorch(_cuda)?_program)\.cpp' |
    grep -oE ' -(W|m|f|D|O[0-2s])[^ ]*' | sort -u) || true
  [[ -z $found ]] || fail "$1: Tarn gives its users compiler flags:" $found
  grep -q -- '-std=gnu++20\|-std=c++20' "$2" || fail "$1: C++20 was not asked for"
}

# install_moved NAME BUILD: installs a build, strips it and moves it to "$moved".
install_moved() {
  local name=$1 prefix="$work/$1 prefix" path named
  moved="$work/$1 moved"
  quietly "$name: installing" cmake --install "$2" --prefix "$prefix" --strip
  mv "$prefix" "$moved"
  for path in "$work" "$source"; do
    # UndefinedBehaviorSanitizer reports the places in sources by their full names.
    [[ $name != emulated ]] || break
    ! named=$(grep -rlaF "$path" "$moved") || fail "$name: installed files name $path:" $named
  done
  [[ ! -e $moved/include/tarn/tests ]] || fail "$name: the tests' headers were installed"
  ! named=$(grep -rlE 'cuda_emulator|TARN_CUDA' "$moved/include") ||
    fail "$name: installed headers depend on how CUDA was built:" $named
}

if (($# == 2)); then
  install_moved emulated "$2"
  cached() { sed -n "s/^$1:[A-Z]*=//p" "$2/CMakeCache.txt"; }
  sanitizers=$(cached TARN_SANITIZE "$2")
  try_program emulated -DCMAKE_PREFIX_PATH="$moved" \
    -DCMAKE_CXX_COMPILER="$(cached CMAKE_CXX_COMPILER "$2")" \
    -DCMAKE_EXE_LINKER_FLAGS="${sanitizers:+-fsanitize=$sanitizers}"
  echo "consumer: emulated ok"
  exit
fi

for kind in static shared; do
  shared=$([[ $kind == shared ]] && echo ON || echo OFF)
  build="$work/tarn-$kind"
  quietly "$kind: configuring" cmake -S "$source" -B "$build" "${generator[@]}" \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS="$shared" \
    -DTARN_BUILD_TESTS=OFF -DTARN_BUILD_SAMPLES=OFF
  quietly "$kind: building" cmake --build "$build" --parallel
  install_moved "$kind" "$build"
  try_program "$kind" -DCMAKE_PREFIX_PATH="$moved" -DTARN_PLUGIN="$shared"
  quietly "$kind: tarn-ckpt" "$moved/bin/tarn-ckpt" verify "$work/program $kind/mlp.params"
  echo "consumer: $kind ok ($(du -ch "$moved"/lib/libtarn* | tail -n 1 | cut -f 1) of library)"
done

try_program subdirectory -DTARN_SOURCE="$source"
[[ ! -e "$work/program subdirectory/tarn/tests" ]] || fail "subdirectory: Tarn's tests were built"
echo "consumer: subdirectory ok"
