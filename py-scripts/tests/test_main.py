"""The overview, from what services say."""

import subprocess
import sys
from typing import Any

import pytest

from lab import Document, LabError
from main import gather, hash_rate, render


def status(**changes: Any) -> Document:
    service = {
        "name": "pool",
        "address": "127.10.0.5",
        "ports": {"mining": 34254, "http": 9090},
        "ready": True,
        "reason": None,
    }
    whole: Document = {
        "name": "sv2lab",
        "backend": "process",
        "subnet": "127.10.0.0/24",
        "height": 104,
        "services": [
            service,
            service | {"name": "btc-node", "address": "127.10.0.4", "ports": {"rpc": 18443}},
        ],
    }
    return whole | changes


MINERS = {
    "sv2_clients": {
        "total_clients": 1,
        "total_channels": 2,
        "hashrate_1m": 1_500_000.0,
        "shares_accepted": 7,
        "shares_rejected": 1,
        "shares_rejected_by_reason": {"stale-share": 1},
    }
}
BLOCK = {
    "height": 104,
    "hash": "00" * 24 + "0123456789abcdef",
    "user": "farm",
    "worker": "rig",
    "template_id": None,
    "verdict": "accepted",
}


def test_the_pool_tells_of_miners_and_blocks() -> None:
    def get(url: str) -> Any:
        match url.removeprefix("http://127.10.0.5:9090"):
            case "/api/v1/global":
                return MINERS
            case "/api/v1/blocks?limit=5":
                return {"items": [BLOCK], "total": 1}
        raise LabError(url)

    text = render(gather(status(), get))
    assert "pool: 1 clients, 2 channels, 1.5 MH/s in the last minute" in text
    assert "7 accepted, 1 rejected (1 stale-share)" in text
    assert "block 104 0123456789abcdef by farm/rig of a declared job: accepted" in text


def test_a_job_declarator_client_tells_of_blocks_in_its_own_way_and_an_explorer_of_none() -> None:
    jdc = {
        "height": 105,
        "hash": "00" * 24 + "fedcba9876543210",
        "job": 7,
        "user_identity": "farm",
        "worker": None,
    }
    shown = {"height": 106, "hash": "00" * 32, "credit": {"miner": "farm"}}

    def get(url: str) -> Any:
        match url.removeprefix("http://127.10.0.5:9090"):
            case "/api/v1/blocks?limit=5":
                return {"items": [jdc, shown], "total": 2}
            case "/api/v1/declarations?limit=5":
                return {"pages": {"total": 0}}
        raise LabError(url)

    text = render(gather(status(), get))
    assert "block 105 fedcba9876543210 by farm of job 7: passed on" in text
    assert "block 106" not in text


def test_silent_services_are_shown_as_silent() -> None:
    def get(url: str) -> Any:
        raise LabError(f"{url} gives no answer")

    lab = status(height=None)
    lab["services"][0] |= {"ready": False, "reason": "no template"}
    text = render(gather(lab, get))
    assert "the node does not answer" in text
    assert "not ready: no template" in text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0.0 H/s"), (999, "999.0 H/s"), (1_000, "1.0 kH/s"), (2.5e9, "2.5 GH/s"), (4e12, "4.0 TH/s")],
)
def test_a_hash_rate_has_the_unit_that_fits(rate: float, text: str) -> None:
    assert hash_rate(rate) == text


def test_a_reader_that_has_read_enough_is_no_failure() -> None:
    command = [sys.executable, "-c", "import main; main.show('line\\n' * 100_000)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdout and one.stderr
        assert one.stdout.readline() == b"line\n"
        one.stdout.close()
        assert one.stderr.read() == b""
    assert one.returncode == 0
