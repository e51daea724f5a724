"""Finds the services of a running lab and asks them over HTTP."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What comes over HTTP is whatever JSON says.
Document = dict[str, Any]

# A service of the lab is on this machine: one that takes longer does not answer.
TIMEOUT_SECONDS = 5.0
# The most that a role tells of a list at once.
PART = 100


class LabError(Exception):
    """Something of the lab cannot be had; says what, and what to do."""


def program() -> str:
    """The `lab` program: LAB, else in the PATH, else this checkout's build."""
    if named := os.environ.get("LAB"):
        return named
    if found := shutil.which("lab"):
        return found
    target = Path(__file__).resolve().parent.parent / "target"
    for profile in ("release", "debug"):
        if (built := target / profile / "lab").exists():
            return str(built)
    raise LabError("the program lab is missing; run ./start-pool.sh, or set LAB to its path")


def status(name: str) -> Document:
    """What `lab status --json` says of the lab `name`."""
    command = [program(), "--name", name, "--json", "status"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError(f"cannot run {command[0]}: {error}; set LAB to the path of lab") from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise LabError(f"lab '{name}' says nothing of itself: {said}")
    answer: Document = json.loads(done.stdout)
    return answer


def http(service: Document) -> str:
    """Where a service of `status` is asked."""
    return f"http://{service['address']}:{service['ports']['http']}"


def of_kind(lab: Document, program_route: str) -> str:
    """Where the first service that answers `program_route` is asked."""
    for service in lab["services"]:
        if "http" not in service["ports"]:
            continue
        try:
            get(http(service) + program_route)
        except LabError:
            continue
        return http(service)
    raise LabError(f"no service of lab '{lab['name']}' answers {program_route}; see: lab status")


def get(url: str) -> Any:
    """The JSON at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
        raise LabError(f"{url} gives no answer: {error}") from error


def items(url: str) -> Iterator[Document]:
    """All items of a list that is told in parts."""
    offset = 0
    while True:
        part = get(f"{url}?offset={offset}&limit={PART}")
        yield from part["items"]
        offset += len(part["items"])
        if not part["items"] or offset >= part["total"]:
            return
