#!/usr/bin/env bash
# Makes a machine ready to build and run the lab; quiet and quick when it is ready already.
# Debian and Ubuntu as root or with sudo: installs what is missing. Elsewhere: says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 69; }

# What is looked for (a program, or a header after an @), and the Debian package that brings it.
needs=(
  "g++ g++" "cmake cmake" "ninja ninja-build" "capnp capnproto" "pkg-config pkg-config"
  "python3 python3" "venv python3-venv" "busybox busybox-static" "ping iputils-ping"
  "@boost/multi_index_container.hpp libboost-dev" "@event2/event.h libevent-dev"
  "@capnp/rpc.h libcapnp-dev" "chromium chromium" "faketime faketime"
)

present() {
  case $1 in
    @*) command -v g++ >/dev/null && printf '#if !__has_include(<%s>)\n#error\n#endif\n' "${1#@}" |
          g++ -E -x c++ - >/dev/null 2>&1 ;;
    # Images take the program itself, so it must not need libraries.
    busybox) [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 ;;
    venv) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing() {
  local need
  for need in "${needs[@]}"; do
    present "${need% *}" || printf '%s ' "${need#* }"
  done
}

packages=$(missing)
if [ -n "$packages" ]; then
  root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  command -v apt-get >/dev/null ||
    die "install what these Debian packages bring, then run again: $packages"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    die "as root, run: apt-get install $packages"
  say "installing $packages"
  "${root[@]}" apt-get update -qq
  # shellcheck disable=SC2086 # a list of package names
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq $packages >/dev/null
  packages=$(missing)
  [ -z "$packages" ] || die "still missing after installation: $packages"
fi

command -v cargo >/dev/null || die "Rust is missing; install it with rustup (https://rustup.rs), then run again"

# uv runs py-scripts and brings what they need. The lab itself goes without it.
uv=${XDG_CACHE_HOME:-$HOME/.cache}/sv2-lab/uv
if ! PATH="$PATH:$uv/bin" command -v uv >/dev/null; then
  say "installing uv into $uv"
  { python3 -m venv "$uv" && "$uv/bin/pip" install --quiet 'uv>=0.8,<1'; } >&2 ||
    say "warning: uv could not be installed; py-scripts need it, the lab does not"
fi
