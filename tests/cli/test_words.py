"""Numbers, durations and bars as people read them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vla_bench.cli.display.tables import plain_table
from vla_bench.cli.display.words import bar, counts, duration, interval, number, percent, plural, short_path
from vla_bench.results.stats import Interval


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (62, "1:02"), (7509, "2:05:09"), (-3, "0:00")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rates_have_one_decimal_and_no_number_where_there_is_none() -> None:
    assert percent(0.96) == "96.0 %"
    assert percent(None) == "–"
    assert interval(Interval(0.93912, 0.97411)) == "[93.9, 97.4]"
    assert interval((0.86, 0.94)) == "[86.0, 94.0]"
    assert interval(None) == "–"
    assert number(None) == "–"
    assert number(1.25, 1, "ms") == "1.2 ms"


def test_kinds_of_loss_are_counted_most_frequent_first() -> None:
    assert counts({"env_hung": 1, "policy_timeout": 3, "bad_action": 1}) == "3 policy_timeout, 1 bad_action, 1 env_hung"
    assert plural(1, "episode") == "1 episode"
    assert plural(2000, "episode") == "2,000 episodes"


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 60))
def test_a_bar_has_its_width_and_is_filled_up_to_the_rate(n_success: int, n_more: int, width: int) -> None:
    n = n_success + n_more
    rate = n_success / n
    drawn = bar(rate, Interval(rate / 2, (1 + rate) / 2), width)
    assert len(drawn) == width
    assert abs(drawn.count("█") + drawn.count("▓") - rate * width) <= 0.5


def test_a_bar_shows_its_interval_without_colour() -> None:
    assert bar(0.5, Interval(0.25, 0.75), 8) == "██▓▓░░  "
    assert bar(1.0, Interval(1.0, 1.0), 4) == "████"
    assert bar(None, None, 4) == "    "


def test_paths_under_the_home_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert short_path("/home/me/results.db") == "~/results.db"
    assert short_path("/home/meander/results.db") == "/home/meander/results.db"
    assert short_path("postgresql://me@host/runs") == "postgresql://me@host/runs"


def test_a_narrow_terminal_folds_words_and_cuts_no_number() -> None:
    table = plain_table("run", "rate>", "95 %|", "score")
    table.add_row("a-run-with-a-long-name", "100.0 %", "[83.9, 100.0]", "20/20 of 20 planned, 0 lost")
    console = Console(width=46, file=io.StringIO())
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "100.0 %  [83.9, 100.0]" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 46
