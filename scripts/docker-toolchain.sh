#!/usr/bin/env bash
# Makes the image sv2-lab/rust:local of Debian packages and this machine's Rust toolchain, for
# builds inside Docker where no registry can be reached. Needs root and debootstrap (Debian,
# Ubuntu); takes two minutes.
set -euo pipefail

say() { printf 'docker-toolchain: %s\n' "$*" >&2; }
die() { printf 'docker-toolchain: error: %s\n' "$*" >&2; exit 69; }

[ "$(id -u)" = 0 ] || die "run it as root: sudo -E $0"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
command -v docker >/dev/null || die "docker is missing"
sysroot=$(rustc --print sysroot) || die "rustc is missing: install Rust by https://rustup.rs"
# The same Debian as the C library the toolchain runs with; any from bookworm on will do.
suite=${SUITE:-bookworm}
# From where this machine has its own packages.
mirror=${MIRROR:-$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
  awk -v suite="$suite" '$1 == suite { print $2; exit }')}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
say "installing Debian $suite"
packages=busybox-static,ca-certificates,capnproto,cmake,g++,iputils-ping,libboost-dev,libcapnp-dev
packages=$packages,libevent-dev,ninja-build,pkg-config,python3
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >/dev/null ||
  die "debootstrap failed; see $root/debootstrap/debootstrap.log, or set MIRROR"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

say "adding $(rustc --version)"
for part in bin lib libexec; do
  [ ! -d "$sysroot/$part" ] || cp -a "$sysroot/$part" "$root/usr/local/"
done
# Certificates that this machine has been given on top of Debian's.
if compgen -G '/usr/local/share/ca-certificates/*' >/dev/null; then
  cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
fi
say "handing it to Docker"
tar -C "$root" -c . | docker import - sv2-lab/rust:local >/dev/null
say "ready: docker-compose build --build-arg RUST_IMAGE=sv2-lab/rust:local"
