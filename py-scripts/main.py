"""Prints an overview of a running lab, as its services tell it over HTTP.

    uv run main.py
    uv run main.py --name second --json
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import lab
from lab import Document, LabError

# What is worth asking each kind of role for, by the name of its part of the overview. A service
# answers the routes of its own kind, and 404 to the others; some routes are of several kinds.
ROUTES = {
    "miners": "/api/v1/global",
    "blocks": "/api/v1/blocks?limit=5",
    "declarations": "/api/v1/declarations?limit=5",
    "upstreams": "/api/v1/upstreams",
}


def gather(status: Document, get: Callable[[str], Any] = lab.get) -> Document:
    """The status of the lab, and under `told` what each service says of itself."""
    told: Document = {}
    for service in status["services"]:
        if "http" not in service["ports"]:
            continue
        answers: Document = {}
        for part, route in ROUTES.items():
            try:
                answers[part] = get(lab.http(service) + route)
            except LabError:
                continue
        told[service["name"]] = answers
    return status | {"told": told}


def hash_rate(hashes_per_second: float) -> str:
    """With the unit that leaves one to three digits before the point."""
    for unit in ("H/s", "kH/s", "MH/s", "GH/s"):
        if hashes_per_second < 1000:
            return f"{hashes_per_second:.1f} {unit}"
        hashes_per_second /= 1000
    return f"{hashes_per_second:.1f} TH/s"


def listed(answer: Any) -> list[Document]:
    """The items of a list, whether it is told in parts or not; none of what is no list."""
    found: list[Document] = answer.get("items", []) if isinstance(answer, dict) else answer
    return found


def render(overview: Document) -> str:
    """The overview as text."""
    height = overview["height"]
    lines = [
        f"lab '{overview['name']}' on {overview['backend']} ({overview['subnet']}): "
        + (f"height {height}" if height is not None else "the node does not answer")
    ]
    for service in overview["services"]:
        ready = "ready" if service["ready"] else f"not ready: {service['reason']}"
        lines.append(f"  {service['name']:18} {service['address']:12} {ready}")
    for name, answers in overview["told"].items():
        lines.extend(role(name, answers))
    return "\n".join(lines)


def role(name: str, answers: Document) -> list[str]:
    """What one service has to tell beyond being there."""
    lines: list[str] = []
    if miners := (answers.get("miners") or {}).get("sv2_clients"):
        rejected = ", ".join(
            f"{count} {reason}" for reason, count in miners["shares_rejected_by_reason"].items()
        )
        lines += [
            f"{name}: {miners['total_clients']} clients, {miners['total_channels']} channels, "
            f"{hash_rate(miners['hashrate_1m'])} in the last minute",
            f"  shares: {miners['shares_accepted']} accepted, {miners['shares_rejected']} rejected"
            + (f" ({rejected})" if rejected else ""),
        ]
    for block in listed(answers.get("blocks", [])):
        # A pool judges blocks, a job declarator client tells of its own; an explorer only shows.
        if "user" in block:
            user, verdict = block["user"], block["verdict"] or "not judged yet"
            whose = f"template {block['template_id']}" if block["template_id"] else "a declared job"
        elif "user_identity" in block:
            user, verdict = block["user_identity"], "passed on"
            whose = f"job {block['job']}" if block["job"] is not None else "no job of its own"
        else:
            continue
        who = "/".join(filter(None, (user, block["worker"])))
        lines.append(
            f"  {name} block {block['height']} {block['hash'][-16:]} by {who} of {whose}: {verdict}"
        )
    if upstreams := listed(answers.get("upstreams", [])):
        lines.append(f"{name}:")
        lines += [
            f"  upstream {one.get('pool') or one.get('address')}: {one.get('state')}"
            for one in upstreams
        ]
    if declarations := listed(answers.get("declarations", [])):
        lines.append(f"{name}: {len(declarations)} newest declarations")
    return lines


def show(text: str) -> None:
    """Prints it, to a reader that may have read enough, as `head` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Nor may the interpreter complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="sv2lab", help="which lab (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = parser.parse_args()
    try:
        overview = gather(lab.status(arguments.name))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 69
    show(json.dumps(overview, indent=2) if arguments.json else render(overview))
    return 0


if __name__ == "__main__":
    sys.exit(main())
