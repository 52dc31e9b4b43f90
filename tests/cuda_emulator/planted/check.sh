#!/usr/bin/env bash
# check.sh PROGRAM SANITIZERS: runs each planted bug that this build must find, and requires the
# message and an exit status that is not 0. Every bug is found in every order of threads.
set -uo pipefail
program=$1
sanitizers=${2:-}
failed=0
passed=0

# expect NAME PATTERN [VARIABLE=VALUE...]
expect() {
  local name=$1 pattern=$2 output status
  shift 2
  output=$(env "$@" timeout 60 "$program" "$name" 2>&1)
  status=$?
  if [ "$status" -ne 0 ] && [ "$status" -ne 124 ] && grep -Eq "$pattern" <<<"$output"; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  printf '%s (%s): exit status %d, expected a failure with "%s"; the output:\n%s\n' \
    "$name" "$*" "$status" "$pattern" "$output"
}

# expect_in_every_order NAME PATTERN
expect_in_every_order() {
  local order
  for order in fwd rev rand:1 rand:2; do
    expect "$1" "$2" TARN_EMULATED_ORDER="$order"
  done
}

if [[ $sanitizers == *address* ]]; then
  expect_in_every_order global-out-of-bounds 'use-after-poison'
  expect_in_every_order shared-out-of-bounds 'index 64 out of bounds|use-after-poison'
  expect_in_every_order dynamic-shared-out-of-bounds 'use-after-poison'
  expect_in_every_order use-after-free-in-a-list 'use-after-poison'
else
  expect_in_every_order global-out-of-bounds 'a kernel wrote 4000 bytes from the beginning'
fi
if [[ $sanitizers == *thread* ]]; then
  expect_in_every_order missing-barrier 'data race'
  expect_in_every_order cross-block-race 'data race'
  expect_in_every_order missing-fence 'data race'
fi
expect_in_every_order divergent-barrier 'divergent barrier: 24 of 64 threads exited'
expect_in_every_order two-barriers 'divergent barrier: threads of one block wait at'
expect_in_every_order absent-lanes 'thread [0-9]+ waits at __shfl_xor_sync'
expect_in_every_order uninitialised-read 'wrong result: -?nan'
expect wrong-device 'memory of cuda:1, without peer access'
expect wrong-device-in-a-list 'a kernel touched .* memory of cuda:1'
expect use-after-free 'freed or unallocated memory of cuda:0'
expect pageable-pointer 'pageable host memory'
expect host-touches-device 'host code touched .* memory of cuda:0'
expect missing-event 'wrong result: 0, not 3'
expect pinned-read-too-early 'wrong result: -?nan, not 3'
expect sync-in-capture 'cudaErrorStreamCaptureUnsupported'
expect unjoined-capture 'cudaErrorStreamCaptureUnjoined'
expect large-shared-without-asking 'cudaFuncSetAttribute allows this kernel 49152'
expect leak 'leaked 400 bytes of memory of cuda:0' TARN_EMULATED_LEAKS=1

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
