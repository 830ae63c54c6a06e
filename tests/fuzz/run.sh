#!/bin/sh
# run.sh SECONDS [BIN]: runs each registered fuzzer for SECONDS; the canary must crash, the others must not.
set -eu
seconds=${1:?usage: run.sh SECONDS [BIN]}
here=$(cd "$(dirname "$0")" && pwd)
bin=${2:-$here/../../build/asan/bin}
[ -s "$bin/fuzzers.txt" ] || { echo "fuzz: no fuzzers in $bin: build the asan preset" >&2; exit 2; }

scratch=$(mktemp -d)
keep=
trap '[ -n "$keep" ] || rm -rf "$scratch"' EXIT
failed=0
ran=0
while read -r name; do
  corpus=$scratch/$name
  mkdir -p "$corpus"
  set -- "$corpus" -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -timeout=10 -rss_limit_mb=2048 \
    -max_len=8192 -artifact_prefix="$scratch/$name-" -print_final_stats=1
  [ -d "$here/seeds/$name" ] && set -- "$@" "$here/seeds/$name"
  [ -f "$here/$name.dict" ] && set -- "$@" -dict="$here/$name.dict"
  code=0
  "$bin/$name" "$@" >"$scratch/$name.log" 2>&1 || code=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$name.log")
  if [ "$name" = canary_fuzz ]; then
    if [ "$code" -ne 0 ] && ls "$scratch"/canary_fuzz-crash-* >/dev/null 2>&1; then
      echo "fuzz: $name crashes, as it must"
    else
      echo "fuzz: $name did not crash: a crash would not be seen" >&2
      failed=1
    fi
  elif [ "$code" -ne 0 ]; then
    keep=1
    failed=1
    tail -n 30 "$scratch/$name.log" >&2
    echo "fuzz: $name failed; its input is in $scratch" >&2
  elif [ "${runs:-0}" -lt 100 ]; then
    failed=1
    echo "fuzz: $name made ${runs:-no} runs in $seconds s: too few to say anything" >&2
  else
    echo "fuzz: $name found nothing in $runs runs"
  fi
  ran=$((ran + 1))
done <"$bin/fuzzers.txt"
echo "fuzz: $ran fuzzers, $([ $failed = 0 ] && echo all as they must be || echo FAILED)"
[ "$ran" -ge 2 ] && exit $failed
echo "fuzz: nothing but the canary ran" >&2
exit 2
