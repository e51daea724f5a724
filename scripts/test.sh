#!/usr/bin/env bash
# Sets up what is missing and runs every test: tables, wire, real Bitcoin Core, real containers.
# Arguments go to `cargo test`. Without a Docker daemon the container tests are left out, loudly;
# with LAB_TEST_DOCKER=require that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh
./scripts/bitcoin-core.sh >/dev/null

export LAB_TEST_DOCKER=${LAB_TEST_DOCKER:-auto}
if [ "$LAB_TEST_DOCKER" = auto ] && ! docker info >/dev/null 2>&1; then
  echo "test: no Docker daemon answers: THE CONTAINER TESTS ARE LEFT OUT" >&2
  export LAB_TEST_DOCKER=off
fi

(
  cd py-scripts
  PATH="$PATH:${XDG_CACHE_HOME:-$HOME/.cache}/sv2-lab/uv/bin"
  uv sync --quiet
  uv run mypy
  uv run pytest --quiet
)

# The end-to-end tests start the programs, so all of them are built first; with the tests, whose
# dependencies ask for more features: without them most of the workspace would be compiled twice.
cargo build --workspace --bins --tests
# All failures are wanted, not the first alone.
cargo test --workspace --no-fail-fast "$@"
