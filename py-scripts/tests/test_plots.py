"""What is drawn, and that it is drawn."""

import sys
from pathlib import Path

import pytest

import plots
from lab import LabError
from plots import Minute, draw, every_minute, intervals

MINUTE = plots.MINUTE_MS


def test_minutes_without_shares_are_drawn_as_zero() -> None:
    seen = [Minute(0, 3, 1, 600.0), Minute(3 * MINUTE, 1, 0, 60.0)]
    filled = every_minute(seen)
    assert [minute.began_ms for minute in filled] == [0, MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert [minute.accepted for minute in filled] == [3, 0, 0, 1]


def test_intervals_are_those_of_blocks_in_order_of_time() -> None:
    assert intervals([5_000, 1_000, 2_500]) == [1.5, 2.5]
    assert intervals([1_000]) == []


def test_hash_rate_and_shares_have_the_height_of_what_was_recorded() -> None:
    pictures = draw([Minute(0, 3, 1, 600.0), Minute(MINUTE, 2, 0, 1200.0)], [0, 1_000, 3_000])
    line = pictures["hashrate"].axes[0].lines[0]
    assert list(line.get_ydata()) == [10.0, 20.0]  # type: ignore[arg-type]
    tops = [bar.get_height() for bar in pictures["shares"].axes[0].patches]  # type: ignore[attr-defined]
    assert tops == [3, 2, 1, 0]
    bars = pictures["intervals"].axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["png", "svg"])
def test_exports_become_pictures(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes, blocks = tmp_path / "minutes.csv", tmp_path / "blocks.csv"
    minutes.write_text("minute_ms,accepted,rejected,hashes\r\n0,3,1,600\r\n")
    blocks.write_text("hash,height,time_ms\r\naa,1,1000\r\nbb,2,4000\r\n")
    out = tmp_path / "out"
    monkeypatch.setattr(
        sys,
        "argv",
        ["plots.py", f"--minutes={minutes}", f"--blocks={blocks}", f"--format={form}", f"--out={out}"],
    )
    assert plots.main() == 0
    begins = {"png": b"\x89PNG", "svg": b"<?xml"}[form]
    for name in ("hashrate", "shares", "intervals"):
        assert (out / f"{name}.{form}").read_bytes().startswith(begins)


def test_a_pool_without_shares_has_empty_pictures() -> None:
    assert set(draw([], [])) == {"hashrate", "shares", "intervals"}


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    with pytest.raises(LabError, match="ledger export"):
        plots.exported(wrong, wrong)
