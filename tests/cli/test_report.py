"""`report` as a user has it: files, pictures of failures, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.harness.runs import Forger, make_run
from vla_bench.cli import reporting
from vla_bench.cli.replay_schemas import ReportModel

QUICK = ("--workers", "1")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    make_run(folder, "shaky")
    return make_run(folder, "steady", noise=0.0)


@pytest.fixture(autouse=True)
def forger(original: Path, home: Path) -> Forger:
    return Forger.of(original, home)


def test_a_report_has_its_failures_in_pictures(quick: Run, home: Path) -> None:
    done = quick("report", "shaky", "steady", "--out", "r.html", "--out", "r.md", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    told = ReportModel.model_validate_json(done.stdout, strict=True)
    html = (home / "r.html").read_text(encoding="utf-8")
    assert told.n_pictured == html.count("<figure>") > 0
    assert html.count("data:image/jpeg;base64,") == 4 * told.n_pictured
    assert "replay bit" in html
    assert (home / "r.md").read_text(encoding="utf-8").startswith("# shaky, steady")
    assert [file.n_bytes for file in told.files] == [(home / name).stat().st_size for name in ("r.html", "r.md")]


def test_the_default_is_one_page_here(quick: Run, home: Path) -> None:
    assert quick("report", "steady", *QUICK).stdout.startswith("report.html")
    assert "<figure>" not in (home / "report.html").read_text(encoding="utf-8"), "nothing failed"


def test_without_traces_there_is_a_report_that_says_so(quick: Run, home: Path, forger: Forger) -> None:
    for path in forger.traces.path.rglob("*.zst"):
        path.unlink()
    done = quick("report", "shaky", *QUICK)
    assert done.returncode == 0
    assert "<figure>" not in (home / "report.html").read_text(encoding="utf-8")


def test_without_a_renderer_the_reason_stands_in_the_report(
    quick: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vla_bench.spec.errors import NoRenderer

    def refuse(*args: object, **options: object) -> None:
        raise NoRenderer("no render back end works here (none)")

    monkeypatch.setattr(reporting, "make_stills", refuse)
    done = quick("report", "shaky", *QUICK)
    assert done.returncode == 0
    assert "no render back end works here" in (home / "report.html").read_text(encoding="utf-8")


def test_pictures_never_make_the_page_too_large(quick: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick("report", "shaky", *QUICK)
    limit = (home / "report.html").stat().st_size - 1000
    monkeypatch.setattr(reporting, "MOST_BYTES", limit)
    assert quick("report", "shaky", *QUICK).returncode == 0
    assert (home / "report.html").stat().st_size < limit
    assert "would make the page larger" in (home / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("shaky", "--out", "r.pdf"), ".html or .md"),
        (("shaky", "--theme", "blue"), "light or dark"),
        (("shaky", "shaky"), "named twice"),
        (("shakey",), "shaky"),
        (("shaky", "--gallery", "0", "--out", "no/such/folder/r.html"), "cannot write"),
    ],
)
def test_what_cannot_be_written_is_refused(quick: Run, words: tuple[str, ...], told: str) -> None:
    done = quick("report", *words)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr


def test_a_damaged_run_is_refused_in_one_line(quick: Run, forger: Forger) -> None:
    forger.sql("UPDATE plan SET episodes = x'00'")
    done = quick("report", "shaky")
    assert done.returncode == 70
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_odd_times_make_no_odd_number(quick: Run, home: Path, forger: Forger) -> None:
    forger.sql("UPDATE attempt SET wall_ms = 9e999, policy_ms = 9e999, env_ms = -9e999, policy_max_ms = 9e999")
    done = quick("report", "shaky", "--gallery", "0", "--out", "r.md")
    assert done.returncode == 0, done.stderr
    text = (home / "r.md").read_text(encoding="utf-8")
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)
    forger.sql("DELETE FROM aggregate")
    shown = quick("show", "shaky", "--json")
    assert shown.returncode == 0, shown.stderr
    json.loads(shown.stdout, parse_constant=lambda name: pytest.fail(name))


def test_nothing_is_left_beside_the_page(quick: Run, home: Path) -> None:
    quick("report", "steady", *QUICK)
    assert not [path for path in home.iterdir() if path.name.startswith(".report")]
