#!/usr/bin/env bash
# Builds `bitcoin-node` and `bitcoin-cli` from Bitcoin Core's source tree as the cargo package
# libbitcoinkernel-sys ships it, and prints the directory that holds both.
#
#   scripts/bitcoin-core.sh           build if needed; last line of standard output: the directory
#   scripts/bitcoin-core.sh --where   the directory only, built or not
#
# BITCOIN_NODE and BITCOIN_CLI, when set, name other binaries: nothing is built then.
# The result is kept in the user's cache directory, keyed by package version, flags and compiler,
# so every clone on a machine shares it. An interrupted build goes on where it stopped.
set -euo pipefail

package=libbitcoinkernel-sys
version=0.4.1
flags=(
  -DBUILD_TESTS=OFF -DENABLE_WALLET=OFF -DENABLE_IPC=ON -DBUILD_DAEMON=ON -DBUILD_CLI=ON
  -DBUILD_BITCOIN_BIN=OFF -DENABLE_EXTERNAL_SIGNER=OFF -DINSTALL_MAN=OFF
  -DWITH_EMBEDDED_ASMAP=OFF -DCMAKE_BUILD_TYPE=MinSizeRel
)

say() { printf 'bitcoin-core: %s\n' "$*" >&2; }
die() { printf 'bitcoin-core: error: %s\n' "$*" >&2; exit 69; }

need() { # program, Debian package
  command -v "$1" >/dev/null 2>&1 || die "'$1' is missing; install the package '$2' (Debian/Ubuntu: apt-get install $2)"
}

# Shows ninja's own counter: one changing line on a terminal, a line now and then elsewhere.
progress() {
  local line count=0
  while IFS= read -r line; do
    [[ $line == "bitcoin-core: ["* ]] || continue
    if [ -t 2 ]; then
      printf '\r\033[K%.100s' "$line" >&2
    elif [ $((count++ % 40)) = 0 ]; then
      printf '%s\n' "$line" >&2
    fi
  done
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

usable() { # binary, first word of what its --version must contain
  [ -x "$1" ] && "$1" --version 2>/dev/null | grep -qi 'bitcoin core'
}

if [ -n "${BITCOIN_NODE:-}" ]; then
  usable "$BITCOIN_NODE" || die "BITCOIN_NODE=$BITCOIN_NODE is not a Bitcoin Core program that runs here; point it at a bitcoin-node binary or unset it"
  [ -z "${BITCOIN_CLI:-}" ] || usable "$BITCOIN_CLI" || die "BITCOIN_CLI=$BITCOIN_CLI is not a bitcoin-cli that runs here; point it at one or unset it"
  dirname "$BITCOIN_NODE"
  exit 0
fi

compiler=${CXX:-c++}
need cargo "rustup or cargo"
need "$compiler" g++
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sv2-lab/bitcoin-core
key=$version-$(printf '%s\n' "${flags[@]}" "$("$compiler" --version | head -n 1)" "$(uname -m)" | sha256sum | cut -c1-12)
home=$cache/$key

if [ "${1:-}" = --where ]; then echo "$home"; exit 0; fi
if usable "$home/bitcoin-node" && usable "$home/bitcoin-cli"; then echo "$home"; exit 0; fi

need cmake cmake
need ninja ninja-build
need capnp capnproto
need capnpc-c++ capnproto
need pkg-config pkg-config
need python3 python3
need flock util-linux
probe() { # header, Debian package
  printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | "$compiler" -E -x c++ - >/dev/null 2>&1 ||
    die "the header '$1' is missing; install the package '$2' (Debian/Ubuntu: apt-get install $2)"
}
probe boost/multi_index_container.hpp libboost-dev
probe event2/event.h libevent-dev
probe capnp/rpc.h libcapnp-dev

mkdir -p "$cache"
# One build at a time for this key; a second caller waits and then finds it done.
exec 9>"$cache/$key.lock"
flock -n 9 || { say "another build of the same version is under way; waiting for it"; flock 9; }
if usable "$home/bitcoin-node" && usable "$home/bitcoin-cli"; then echo "$home"; exit 0; fi

# cargo knows where it unpacks a package; a manifest of its own keeps the package out of the workspace.
locator=$cache/$key.locate
mkdir -p "$locator/src"
: >"$locator/src/lib.rs"
cat >"$locator/Cargo.toml" <<TOML
[package]
name = "bitcoin-core-source"
version = "0.0.0"
edition = "2021"
[dependencies]
$package = "=$version"
[workspace]
TOML
say "locating the source (cargo package $package $version)"
source=$(cargo metadata --quiet --format-version 1 --manifest-path "$locator/Cargo.toml" |
  python3 -c 'import json, os, sys
print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' "$package")/bitcoin
[ -f "$source/CMakeLists.txt" ] || die "cargo unpacked $package $version, but $source holds no Bitcoin Core source tree; remove that directory and run again"

build=$cache/$key.build
say "building bitcoin-node and bitcoin-cli, once per machine: about 5 minutes on 2 cores"
if ! cmake -S "$source" -B "$build" -G Ninja "${flags[@]}" >"$cache/$key.log" 2>&1; then
  tail -n 15 "$cache/$key.log" >&2
  die "configuring Bitcoin Core failed; the whole log is $cache/$key.log"
fi
if ! NINJA_STATUS="bitcoin-core: [%f/%t %es] " cmake --build "$build" --target bitcoin-node bitcoin-cli \
  -j "${BITCOIN_CORE_JOBS:-$(nproc)}" 2>&1 | tee -a "$cache/$key.log" | progress; then
  grep -A 15 -m 1 -E 'FAILED|error:' "$cache/$key.log" >&2 || true
  die "building Bitcoin Core failed; the whole log is $cache/$key.log; running this again goes on where it stopped"
fi

# Build beside, check, then rename into place: a half-written result is never seen.
fresh=$cache/$key.new
rm -rf "$fresh"
mkdir -p "$fresh"
for program in bitcoin-node bitcoin-cli; do
  strip -o "$fresh/$program" "$build/bin/$program"
  usable "$fresh/$program" || die "$program was built but does not run; see $cache/$key.log"
done
rm -rf "$home"
mv "$fresh" "$home"
rm -rf "$build" "$locator"
say "ready: $("$home/bitcoin-node" --version | head -n 1)"
echo "$home"
