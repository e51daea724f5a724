#!/usr/bin/env bash
# How long from `lab up` to the first block of our own miner, in the chain: five times on each
# backend, with medians. Programs and images are built before; the labs use networks of their own.
#
#   scripts/bench-up.sh [RUNS]
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-5}
lab=${CARGO_TARGET_DIR:-target}/release/lab
SV2_LAB_HOME=$(mktemp -d /tmp/labXXXXXX)
export SV2_LAB_HOME
name=bench$$
trap '"$lab" down --name "$name" >/dev/null 2>&1; rm -rf "$SV2_LAB_HOME"' EXIT

./scripts/bitcoin-core.sh >/dev/null
cargo build --release --workspace --bins --quiet
backends=(process)
docker info >/dev/null 2>&1 && backends+=(docker)

for backend in "${backends[@]}"; do
  up=("$lab" up --name "$name" --backend "$backend" --json)
  if [ "$backend" = docker ]; then
    up+=(--subnet 10.213.77.0/24 --bind 127.213.77.1)
  else
    up+=(--subnet 127.213.77.0/24)
  fi
  # Images are packed, and everything is in the page cache, before anything is measured.
  "${up[@]}" >/dev/null
  "$lab" down --name "$name" >/dev/null 2>&1
  for _ in $(seq "$runs"); do
    "${up[@]}" 2>/dev/null | tail -n 1
    "$lab" down --name "$name" >/dev/null 2>&1
  done | python3 -c '
import json, statistics, sys
rows = [json.loads(line) for line in sys.stdin]
for key in ("ready_seconds", "first_block_seconds"):
    values = sorted(row[key] for row in rows)
    print(f"{sys.argv[1]:8} {key:20} median {statistics.median(values):.2f}  min {values[0]:.2f}  max {values[-1]:.2f}  ({len(values)} runs)")
' "$backend"
done
