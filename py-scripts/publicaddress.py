"""Prints the addresses that pay to a public key.

    uv run publicaddress.py 02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5
    uv run publicaddress.py --network signet --json 02c604...
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from embit import ec, script
from embit.networks import NETWORKS

# Our names of the networks, and the library's.
CHAINS = {"regtest": "regtest", "signet": "signet", "mainnet": "main"}


@dataclass(frozen=True)
class Output:
    """One way to pay to a key."""

    type: str
    # A public key alone has no address.
    address: str | None
    # The output's script, as hex.
    script: str
    # For Bitcoin Core, and for the payout of our roles.
    descriptor: str


def outputs(key_hex: str, network: str = "regtest") -> list[Output]:
    """Every way to pay to the public key `key_hex`, compressed or not, on `network`.

    An uncompressed key has no SegWit ones: such an output could never be spent.
    Raises ValueError, which says what is wrong with the key or the network.
    """
    if network not in CHAINS:
        raise ValueError(f"there is no network '{network}'; one of {', '.join(CHAINS)}")
    key = public_key(key_hex)
    text = key.sec().hex()
    scripts = [
        ("p2pk", f"pk({text})", script.Script(bytes([len(key.sec())]) + key.sec() + b"\xac")),
        ("p2pkh", f"pkh({text})", script.p2pkh(key)),
    ]
    if key.compressed:
        witness = script.p2wpkh(key)
        scripts += [
            ("p2sh-p2wpkh", f"sh(wpkh({text}))", script.p2sh(witness)),
            ("p2wpkh", f"wpkh({text})", witness),
            ("p2tr", f"tr({text})", script.p2tr(key)),
        ]
    return [
        Output(
            type=name,
            address=None if name == "p2pk" else pays.address(NETWORKS[CHAINS[network]]),
            script=pays.data.hex(),
            descriptor=descriptor,
        )
        for name, descriptor, pays in scripts
    ]


def public_key(text: str) -> ec.PublicKey:
    """The point that `text` is the hex of."""
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is no hex: {error}") from error
    prefixes = {33: (2, 3), 65: (4,)}
    if data[:1] not in [bytes([prefix]) for prefix in prefixes.get(len(data), ())]:
        raise ValueError(
            f"'{text}' is no public key: give 33 bytes that begin with 02 or 03, "
            "or 65 bytes that begin with 04"
        )
    try:
        return ec.PublicKey.parse(data)
    except Exception as error:
        raise ValueError(f"'{text}' is no point of secp256k1") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("key", help="a public key as hex, 33 or 65 bytes")
    parser.add_argument("--network", choices=CHAINS, default="regtest")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = parser.parse_args()
    try:
        found = outputs(arguments.key, arguments.network)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 64
    if arguments.json:
        print(json.dumps([asdict(output) for output in found], indent=2))
    else:
        for output in found:
            print(f"{output.type:12} {output.address or output.script}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
