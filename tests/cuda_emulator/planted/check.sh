#!/usr/bin/env bash
# check.sh PROGRAM SANITIZERS: runs each planted bug that this build must find (the table in
# ../README.md) 20 times, and requires the message and an exit status that is not 0 every time. The
# order of threads and blocks is forward, backward and random; TARN_EMULATED_ORDER=rand:SEED says
# from which seed on.
set -uo pipefail
program=$1
sanitizers=${2:-}
table=$(dirname "$0")/../README.md
failed=0
passed=0

seed=${TARN_EMULATED_ORDER:-}
seed=${seed#rand:}
[[ $seed =~ ^[0-9]+$ ]] || seed=1
orders=(fwd rev)
while ((${#orders[@]} < 20)); do orders+=("rand:$((seed++))"); done

# expect NAME MESSAGE
expect() {
  local order output status
  for order in "${orders[@]}"; do
    output=$(TARN_EMULATED_ORDER="$order" TARN_EMULATED_LEAKS=1 timeout 60 "$program" "$1" 2>&1)
    status=$?
    if ((status != 0 && status != 2 && status != 124)) && [[ $output == *"$2"* ]]; then
      passed=$((passed + 1))
      continue
    fi
    failed=$((failed + 1))
    printf 'TARN_EMULATED_ORDER=%s %s: exit status %d, expected a failure with "%s", got\n%s\n' \
      "$order" "$1" "$status" "$2" "$output"
  done
}

# Rows: | `name` | bug | sanitizer | `message` |
rows=$(sed -nE 's/^\| `([a-z-]+)` \| [^|]+ \| ([a-z ]+) \| `([^`]+)` \|$/\1\t\2\t\3/p' "$table")
if [[ $(cut -f 1 <<<"$rows" | sort -u) != $("$program" | sort) ]]; then
  echo "the bugs of $table are not those of $program"
  exit 1
fi
while IFS=$'\t' read -r name build message; do
  case $build in
    any) ;;
    "not "*) [[ $sanitizers == *${build#not }* ]] && continue ;;
    *) [[ $sanitizers == *$build* ]] || continue ;;
  esac
  expect "$name" "$message"
done <<<"$rows"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
