"""Addresses, beside Bitcoin Core's own."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from publicaddress import CHAINS, outputs

# Multiples of the curve's generator: an even and an odd one, and one that is not compressed.
EVEN = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
ODD = "03fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556"
UNCOMPRESSED = (
    "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)
ROOT = Path(__file__).resolve().parents[2]

Ask = Callable[..., object]


@pytest.fixture(scope="module", params=CHAINS)
def core(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Ask]]:
    """A node of one network that talks to nobody, as a function that asks it."""
    where = subprocess.run(
        [ROOT / "scripts/bitcoin-core.sh", "--where"], capture_output=True, text=True, check=True
    )
    programs = Path(where.stdout.strip())
    if not (programs / "bitcoin-node").exists():
        pytest.fail("no Bitcoin Core; run scripts/bitcoin-core.sh")
    directory = tmp_path_factory.mktemp(request.param)
    chain = [f"-datadir={directory}", f"-chain={CHAINS[request.param]}"]
    port = free_port()
    alone = ["-networkactive=0", "-listen=0", "-dnsseed=0", f"-rpcport={port}"]
    with subprocess.Popen(
        [programs / "bitcoin-node", *chain, *alone], stdout=subprocess.DEVNULL
    ) as node:

        def ask(*arguments: str) -> object:
            answer = subprocess.run(
                [programs / "bitcoin-cli", *chain, f"-rpcport={port}", "-rpcwait=20", *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            assert answer.returncode == 0, f"{arguments}: {answer.stderr}"
            return json.loads(answer.stdout)

        try:
            yield request.param, ask
        finally:
            node.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("key", [EVEN, ODD, UNCOMPRESSED])
def test_addresses_are_those_of_bitcoin_core(core: tuple[str, Ask], key: str) -> None:
    network, ask = core
    for output in outputs(key, network):
        told = ask("getdescriptorinfo", output.descriptor)
        assert isinstance(told, dict)
        decoded = ask("decodescript", output.script)
        assert isinstance(decoded, dict)
        if output.address is None:
            assert decoded["type"] == "pubkey"
            assert decoded["asm"] == f"{key} OP_CHECKSIG"
            continue
        assert ask("deriveaddresses", told["descriptor"]) == [output.address], output.type
        assert decoded["address"] == output.address, output.type


def test_an_uncompressed_key_has_no_segwit_address() -> None:
    assert [output.type for output in outputs(UNCOMPRESSED)] == ["p2pk", "p2pkh"]
    assert [output.type for output in outputs(EVEN)] == [
        "p2pk",
        "p2pkh",
        "p2sh-p2wpkh",
        "p2wpkh",
        "p2tr",
    ]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "no public key"),
        ("02zz", "no hex"),
        (EVEN[:-2], "no public key"),
        ("05" + EVEN[2:], "no public key"),
        ("02" + "ff" * 32, "no point"),
        (UNCOMPRESSED[:-2] + "b9", "no point"),
    ],
)
def test_what_is_no_key_is_refused(key: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        outputs(key)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ValueError, match="one of regtest, signet, mainnet"):
        outputs(EVEN, "testnet")
