#!/usr/bin/env bash
# Plays every scenario, also those that take minutes. Arguments go to `lab scenario run --all`,
# for example --junit report.xml, or --backend process.
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh
./scripts/bitcoin-core.sh >/dev/null
cargo build --workspace --bins
exec target/debug/lab --name scenarios scenario run --all "$@"
