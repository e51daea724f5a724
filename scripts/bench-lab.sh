#!/usr/bin/env bash
# How quick the full stack is to bring up, to ask, to change by a line and to take down, and what it
# costs at rest, on each backend: medians of RUNS runs. Programs and images are built before.
#
#   scripts/bench-lab.sh [RUNS]
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
  # Images are packed, and everything is in the page cache, before anything is measured.
  "$lab" up full --name "$name" --backend "$backend" >/dev/null 2>&1
  "$lab" down --name "$name" >/dev/null 2>&1
  python3 - "$lab" "$name" "$backend" "$runs" <<'PYTHON'
import json, os, pathlib, statistics, subprocess, sys, time

lab, name, backend, runs = sys.argv[1:4] + [int(sys.argv[4])]
ticks = os.sysconf("SC_CLK_TCK")

def run(*words):
    began = time.monotonic()
    done = subprocess.run([lab, *words, "--name", name, "--json"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return time.monotonic() - began, json.loads(done.stdout.splitlines()[-1])

def cpu(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / ticks

def memory(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024

def build_changed(lines):
    """Moves the pool's lines down, which is a change in its program, and puts them back."""
    source = pathlib.Path("crates/pool/src/lib.rs")
    text = source.read_text()
    try:
        source.write_text("\n" * lines + text)
        took, built = run("build", "pool")
    finally:
        source.write_text(text)
    assert built["restarted"] == ["pool"], built
    return took

rows = {}
def note(what, value):
    rows.setdefault(what, []).append(value)

for number in range(runs):
    took, up = run("up", "full", "--backend", backend)
    note("up, all ready (s)", up["ready_seconds"])
    note("up, first block on each path (s)", up["first_block_seconds"])
    for _ in range(5):
        took, status = run("status")
        note("status (s)", took)
    services = {s["name"]: s["pid"] for s in status["services"] if s["pid"]}
    resting = [pid for service, pid in services.items() if service not in ("cpuminer", "mining-device")]
    before, since = cpu(resting), time.monotonic()
    time.sleep(10)
    note("CPU at rest, without miners (% of a core)",
         100 * (cpu(resting) - before) / (time.monotonic() - since))
    roles = [pid for service, pid in services.items() if service != "btc-node"]
    note("memory of our roles (MiB)", sum(memory(pid) for pid in roles))
    note("one line of the pool: built, restarted alone (s)", build_changed(number + 1))
    note("down (s)", run("down")[0])

for what, values in rows.items():
    print(f"{backend:8} {what:48} median {statistics.median(values):8.3f}"
          f"  min {min(values):8.3f}  max {max(values):8.3f}  ({len(values)})")
PYTHON
done
