#!/usr/bin/env bash
# Sets up what is missing, builds, and brings the mining network up. Arguments go to `lab up`.
set -euo pipefail
cd "$(dirname "$0")"

./scripts/setup.sh
./scripts/bitcoin-core.sh >/dev/null
cargo build --release --workspace --bins
exec "${CARGO_TARGET_DIR:-target}/release/lab" up "$@"
