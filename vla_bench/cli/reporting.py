"""What `report` does: gather, picture failures by replay, render, write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from vla_bench.cli.display.console import answer, print_json, story
from vla_bench.cli.display.replaying import ReplayProgress
from vla_bench.cli.filming import open_reel
from vla_bench.cli.reading import find_run, open_results
from vla_bench.envs.registry import find_suite
from vla_bench.harness.film.select import failures
from vla_bench.harness.film.stills import make_stills
from vla_bench.results.outputs import write_output
from vla_bench.results.report import Report, gather_report, report_html, report_markdown
from vla_bench.spec.errors import EnvError, UsageError

if TYPE_CHECKING:
    from vla_bench.results.report import Still
    from vla_bench.results.store import Store

__all__ = ["ReportOrder", "write_report"]

MOST_BYTES = 5_000_000
"""Of a page: pictures of failures are left out, the last first, until it is smaller."""


@dataclass(frozen=True, kw_only=True)
class ReportOrder:
    """What `report` is told; see its options."""

    runs: tuple[str, ...]
    out: tuple[Path, ...]
    title: str
    n_stills: int
    theme: str
    renderer: str
    workers: int | None

    def __post_init__(self) -> None:
        if bad := [path for path in self.out if path.suffix.lower() not in (".html", ".md")]:
            raise UsageError(f"a report is an .html or .md file, not {str(bad[0])!r}")
        if self.theme not in ("", "light", "dark"):
            raise UsageError(f"--theme is light or dark, not {self.theme!r}")


def write_report(order: ReportOrder, db: str, traces: str, *, as_json: bool) -> None:
    """Write the files and print their paths.

    Raises:
        UsageError: a run is not there, or a file cannot be written.
        StoreError: the database cannot be read.
    """
    with open_results(db, traces) as store, ReplayProgress() as progress:
        names = [find_run(store, run) for run in order.runs]
        report = gather_report(store, names, order.title)
        if order.n_stills and any(path.suffix.lower() == ".html" for path in order.out):
            report = _with_stills(report, order, store, progress)
    for path in order.out:
        is_html = path.suffix.lower() == ".html"
        write_output(path, _page(report, order.theme) if is_html else report_markdown(report))
    if as_json:
        files = [{"path": str(path), "n_bytes": path.stat().st_size} for path in order.out]
        print_json({"runs": names, "files": files, "n_pictured": len(report.stills)})
    else:
        for path in order.out:
            answer().print(f"{escape(str(path))}  [dim]{path.stat().st_size / 1024:,.0f} KiB[/]", soft_wrap=True)


def _page(report: Report, theme: str) -> str:
    page = report_html(report, theme=theme)
    while len(page.encode()) > MOST_BYTES and report.stills:
        kept = report.stills[: len(report.stills) * 3 // 4]
        note = f"Pictures of {len(kept)} failures; more would make the page larger than 5 MB."
        report = replace(report, stills=kept, no_stills=note)
        page = report_html(report, theme=theme)
    return page


def _with_stills(report: Report, order: ReportOrder, store: Store, progress: ReplayProgress) -> Report:
    """The report with its failures in pictures, or with the reason why there are none."""
    stills: list[Still] = []
    reasons: list[str] = []
    n_failed = 0
    for section in report.sections:
        for subject in section.subjects:
            n_failed += subject.summary.n_judged - subject.summary.n_success
            try:
                stills += _stills_of(subject.summary.name, order, store, progress)
            except (UsageError, EnvError) as error:
                # A report without pictures is still one; the reason stands in it.
                reasons.append(str(error))
                story().print(f"[lost]no pictures of {escape(subject.summary.name)}:[/] {escape(str(error))}")
    note = " ".join(dict.fromkeys(reasons))
    if not note and stills and len(stills) < n_failed:
        note = f"{len(stills)} of {n_failed} failures are shown."
    return replace(report, stills=tuple(stills), no_stills=note)


def _stills_of(run: str, order: ReportOrder, store: Store, progress: ReplayProgress) -> Iterator[Still]:
    evidence, reel = open_reel(store, run)
    chosen = failures(reel.recordings)[: order.n_stills]
    if not chosen or evidence.summary.is_imported:
        return
    progress.begin(len(chosen))
    suite = find_suite(evidence.suite["name"], evidence.summary.protocol)
    yield from make_stills(suite, reel, chosen, renderer=order.renderer, workers=order.workers, told=progress.add)
