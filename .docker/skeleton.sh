#!/bin/sh
# Copies of a workspace what decides which packages it needs, and nothing else: manifests, and an
# empty program or library where cargo looks for one. A change in a source file leaves the copy as
# it was, so that Docker does not compile all dependencies again.
#
#   skeleton.sh FROM TO
set -eu

from=$1
to=$2
mkdir -p "$to"
cd "$from"
cp Cargo.toml Cargo.lock "$to"
[ ! -f rust-toolchain.toml ] || cp rust-toolchain.toml "$to"
for manifest in crates/*/Cargo.toml; do
  crate=${manifest%/Cargo.toml}
  mkdir -p "$to/$crate"
  cp "$manifest" "$to/$crate"
done
find crates \( -path '*/src/main.rs' -o -path '*/src/lib.rs' -o -path '*/src/bin/*.rs' \
  -o -path '*/benches/*.rs' -o -path '*/tests/*.rs' -o -path '*/examples/*.rs' \) |
  while read -r file; do
    mkdir -p "$to/$(dirname "$file")"
    case $file in
      */lib.rs) : >"$to/$file" ;;
      *) echo 'fn main() {}' >"$to/$file" ;;
    esac
  done
