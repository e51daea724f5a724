#!/usr/bin/env bash
# Sets up what is missing, builds, and brings the full mining network up.
#
#   ./start-pool.sh [--no-attach] [OPTIONS OF lab up]
#
# At a terminal and with tmux installed, it ends in a tmux session `mining-pool` with the lab's
# status in the first window and one window per service with its log; leave it with Ctrl-b d, the
# network goes on. With --no-attach, or without a terminal, it only brings the network up.
set -euo pipefail
cd "$(dirname "$0")"

attach=yes
options=()
for argument in "$@"; do
  case $argument in
    --no-attach) attach=no ;;
    *) options+=("$argument") ;;
  esac
done
# The full topology, unless another one is named: the first argument that is no option.
case ${options[0]:-} in
  '' | -*) options=(full ${options[@]+"${options[@]}"}) ;;
esac
name=sv2lab
for index in "${!options[@]}"; do
  case ${options[index]} in
    --name) name=${options[index + 1]:-$name} ;;
    --name=*) name=${options[index]#--name=} ;;
  esac
done

./scripts/setup.sh
./scripts/bitcoin-core.sh >/dev/null
cargo build --release --workspace --bins
lab=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)/lab
"$lab" up "${options[@]}"

session=mining-pool
if [ "$attach" = no ] || ! [ -t 0 ] || ! [ -t 1 ]; then exit 0; fi
if ! command -v tmux >/dev/null; then
  echo "no tmux here: follow the logs with $lab logs -f --name $name" >&2
  exit 0
fi
tmux kill-session -t "=$session" 2>/dev/null || true
tmux new-session -d -s "$session" -n status \
  "clear; while '$lab' status --name '$name'; do sleep 2; clear; done"
for service in $("$lab" status --json --name "$name" |
  python3 -c 'import json, sys; print(*(s["name"] for s in json.load(sys.stdin)["services"]))'); do
  tmux new-window -d -t "$session" -n "$service" "'$lab' logs -f -n 200 '$service' --name '$name'"
done
if [ -n "${TMUX:-}" ]; then
  exec tmux switch-client -t "$session"
fi
exec tmux attach-session -t "$session"
