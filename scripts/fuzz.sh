#!/usr/bin/env bash
# Fuzzes one target of crates/fuzz, guided by coverage, for so many seconds:
#
#   scripts/fuzz.sh TARGET [SECONDS]   60 unless said otherwise; says which targets there are
#   scripts/fuzz.sh TARGET keep        adds to the committed corpus what was found and reaches more
#
# What a target fails on is left in target/fuzz/found. This needs nothing but the stable compiler
# and a C++ one for libFuzzer: the instrumentation is LLVM's own pass.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:-}
seconds=${2:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
# A target directory of its own: these flags would rebuild everything else.
built=target/fuzz
sancov=-Cllvm-args=-sanitizer-coverage
RUSTFLAGS="-Cpasses=sancov-module $sancov-level=4 $sancov-inline-8bit-counters $sancov-pc-table $sancov-trace-compares" \
  cargo build --quiet --package fuzz --bin fuzz --features libfuzzer \
  --profile fuzz --target "$host" --target-dir "$built"

seeds=$built/seeds/$target found=$built/corpus/$target kept=crates/fuzz/corpus/$target
mkdir -p "$seeds" "$found" "$kept" "$built/found"
export FUZZ_TARGET=$target FUZZ_SEEDS=$seeds
fuzz=$built/$host/fuzz/fuzz

if [ "$seconds" = keep ]; then
  merged=$(mktemp -d)
  trap 'rm -rf "$merged"' EXIT
  # Seeds are code; only what reaches further is kept as bytes.
  "$fuzz" -runs=0 "$merged" >/dev/null 2>&1
  cp "$seeds"/* "$merged"
  "$fuzz" -merge=1 "$merged" "$kept" "$found"
  rm -f "$kept"/*
  for input in "$merged"/*; do
    [ -e "$seeds/$(basename "$input")" ] || cp "$input" "$kept"
  done
  exit
fi

exec "$fuzz" "$found" "$seeds" "$kept" -max_total_time="$seconds" \
  -timeout=5 -rss_limit_mb=1024 -artifact_prefix="$built/found/$target-"
