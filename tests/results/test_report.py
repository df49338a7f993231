"""Reports: what stands in them, that they stand alone, and that no odd run puts a made-up number into a table."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.results.reports import MIXED, Page, html_of, keep
from tests.results.samples import attempt, results, spec, suite
from vla_bench.results.report import Report, Still, gather_report, report_html, report_markdown
from vla_bench.results.report.words import bytes_text, count_text, ms_text, value_text
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import UnknownRun, UsageError
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.result import EpisodeResult, Latencies
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite, Task

JPEG = b"\xff\xd8 a picture \xff\xd9"
MOST_BYTES = 5_000_000


@pytest.fixture
def store(open_store: Callable[..., Store], tmp_path: Path) -> Store:
    return open_store(tmp_path / "results.db")


def test_one_run_with_its_numbers(store: Store) -> None:
    keep(store, "lamp", MIXED)
    page = Page(html_of(store, "lamp"))
    assert "4/6 of 6 planned, 0 lost" in page.text
    assert "66.7 %" in page.text
    assert "[30.0, 90.3]" in page.text, "Wilson, 4 of 6"
    for words in ("By difficulty", "By task", "Efficiency", "Protocol and provenance", "vla-bench verify lamp"):
        assert words in page.text
    assert "Differences" not in page.text


def test_the_page_stands_alone_and_can_be_read_aloud(store: Store) -> None:
    keep(store, "lamp", MIXED)
    keep(store, "lamp-b", MIXED[::-1], policy=PolicyInfo(name="lamp", version="2"))
    still = Still(run="lamp", task="t0", trial=0, repeat=0, instruction="do 0", n_steps=9, agreement="bit",
                  frames=((0, JPEG), (9, JPEG)))  # fmt: skip
    html = html_of(store, "lamp", "lamp-b", stills=(still,))
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    assert "http://" not in html
    assert "https://" not in html
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") and image["alt"] for image in page.all("img"))
    assert all("scope" in cell for cell in page.all("th"))
    assert all(drawing.get("aria-hidden") == "true" for drawing in page.all("svg")), "its numbers stand beside it"
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(link["href"]).removeprefix("#") for link in page.all("a")} <= set(ids)
    assert [page.tags.index(("html", {"lang": "en"}))] == [0]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_bar_is_drawn_where_its_numbers_are(store: Store) -> None:
    keep(store, "lamp", MIXED)
    html = html_of(store, "lamp")
    row = next(row for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL) if "0 lost" in row)
    assert 'd="M66.67 5h.001"' in row
    assert re.search(r'class="interval" x1="30\.0\d" x2="90\.3\d"', row)


def test_two_runs_of_one_plan_are_compared_and_their_settings_told_apart(store: Store) -> None:
    keep(store, "old", ["success"] * 6)
    keep(store, "new", ["failure"] * 6, settings=EvalSettings(replan_horizon=1))
    page = Page(html_of(store, "old", "new"))
    assert "−100.0" in page.text
    assert "0.031" in page.text, "exact McNemar of 0 and 6"
    assert "Settings that differ" in page.text
    assert "vla-bench diff old new" in page.text


def test_runs_that_cannot_be_paired_say_why(store: Store) -> None:
    keep(store, "short", MIXED)
    keep(store, "long", MIXED + ["success"] * 3, plan=make_plan(suite(), n_trials=3))
    assert "Not compared: " in (text := Page(html_of(store, "short", "long")).text)
    assert "different plans" in text


def test_suites_have_sections_of_their_own(store: Store) -> None:
    keep(store, "one", MIXED)
    other = replace(suite(), name="another")
    keep(store, "two", MIXED, of=other)
    page = Page(html_of(store, "one", "two"))
    assert "made_up standard/1" in page.text
    assert "another standard/1" in page.text


def test_more_than_three_runs_are_a_heat_table(store: Store) -> None:
    for index in range(8):
        outcomes = ["success"] * (index % 7) + ["failure"] * (6 - index % 7)
        keep(store, f"run-{index}", outcomes, policy=PolicyInfo(name=f"policy-{index}"))
    html = html_of(store, *(f"run-{index}" for index in range(8)))
    page = Page(html)
    assert "Success by task and run" in page.text
    assert len(re.findall(r"<td style=\"background:var\(--levels-\d+\)", html)) >= 24


def many_tasks(n: int) -> Suite:
    tags = [{"dimension": f"d{i % 7}", "level": f"L{i % 5 + 1}", "base_task": f"b{i % 40}"} for i in range(n)]
    tasks = tuple(Task(id=f"task-{i:05}", instruction="do it", horizon=9, tags=tags[i]) for i in range(n))
    return replace(suite(n_trials=1), tasks=tasks, group_by=("dimension", "level"))


@pytest.mark.slow
def test_ten_thousand_tasks_fit_into_five_megabytes(store: Store) -> None:
    large = many_tasks(10_030)
    rng = np.random.default_rng(0)
    run = spec("plus", of=large)
    store.begin_run(run)
    outcomes = ["success" if draw < 0.8 else "failure" for draw in rng.random(10_030)]
    made = [
        EpisodeResult(episode=episode, attempts=(attempt(outcome, trace=None),))
        for episode, outcome in zip(run.plan.episodes, outcomes, strict=True)
    ]
    store.add("plus", made)
    store.finish("plus")
    html = html_of(store, "plus")
    page = Page(html)
    assert len(html.encode()) < MOST_BYTES
    assert "The 120 tasks with the lowest rates of 10,030" in page.text
    assert "by dimension and level" in page.text


def test_two_tags_make_a_table_of_both(store: Store) -> None:
    run = spec("grid", of=many_tasks(35))
    store.begin_run(run)
    store.add("grid", results(run.plan, ["success", "failure", "success", "success", "success"] * 7))
    store.finish("grid")
    (subject,) = gather_report(store, ["grid"]).sections[0].subjects
    assert subject.cross is not None
    assert (subject.cross.rows, subject.cross.columns) == ("dimension", "level")
    assert {row: cells[1] for row, cells in subject.cross.cells.items()} == {f"d{i}": (0, 1) for i in range(7)}


def check_numbers(report: Report) -> str:
    """Both forms of a report, without a number that is none."""
    both = Page(report_html(report)).text + report_markdown(report)
    assert not re.search(r"\b(nan|inf|infinity|none)\b(?! declared)", both, re.IGNORECASE), both
    return both


@pytest.mark.parametrize("outcomes", [["success"] * 6, ["failure"] * 6], ids=["all succeed", "all fail"])
def test_all_alike(store: Store, outcomes: list[str]) -> None:
    keep(store, "alike", outcomes)
    check_numbers(gather_report(store, ["alike"]))


def test_an_incomplete_run_has_bounds_and_no_rate(store: Store) -> None:
    keep(store, "cut", ["success", "failure", "policy_error"])
    report = gather_report(store, ["cut"])
    both = check_numbers(report)
    assert "[16.7, 83.3] bounds" in both
    assert "Lost episodes of cut" in both
    assert "no answer within 30 s" in both
    assert 'class="bounds"' in report_html(report)


def test_a_run_without_any_episode(store: Store) -> None:
    store.begin_run(spec("empty"))
    store.finish("empty")
    both = check_numbers(gather_report(store, ["empty"]))
    assert "0/0 of 6" in both
    assert "[0.0, 100.0] bounds" in both


def test_one_episode_of_one_task(store: Store) -> None:
    one = suite(n_tasks=1, n_trials=1)
    run = spec("single", of=one)
    store.begin_run(run)
    store.add("single", results(run.plan, ["success"]))
    store.finish("single")
    check_numbers(gather_report(store, ["single"]))


def test_latencies_that_are_no_numbers_are_dashes(store: Store) -> None:
    run = spec("odd")
    store.begin_run(run)
    times = Latencies(wall_ms=float("nan"), policy_ms=float("inf"), env_ms=float("nan"), n_queries=2,
                      policy_p50_ms=float("nan"), policy_p95_ms=float("nan"), policy_max_ms=float("inf"))  # fmt: skip
    odd = [
        EpisodeResult(episode=episode, attempts=(attempt("success", latencies=times, trace=None),))
        for episode in run.plan.episodes
    ]
    store.add("odd", odd)
    store.finish("odd")
    (subject,) = gather_report(store, ["odd"]).sections[0].subjects
    assert subject.efficiency.latencies_ms == {50: None, 90: None, 95: None, 99: None}
    assert subject.efficiency.actions_per_s is None
    check_numbers(gather_report(store, ["odd"]))


def test_chains_have_an_average_length_and_their_subtasks(store: Store) -> None:
    stages = ("open the drawer", "push the block", "close the drawer")
    tasks = tuple(Task(id=f"chain-{i}", instruction=stages[0], horizon=90, stages=stages) for i in range(6))
    run = spec("chains", of=replace(suite(n_trials=1), tasks=tasks, group_by=()))
    store.begin_run(run)
    made = []
    for length, episode in zip((0, 1, 2, 3, 3, 3), run.plan.episodes, strict=True):
        done = tuple(
            replace(attempt().stages[0], index=index, success=index < length) for index in range(min(length + 1, 3))
        )
        made.append(EpisodeResult(episode=episode, attempts=(attempt("success" if length == 3 else "failure",
                                                                     stages=done),)))  # fmt: skip
    store.add("chains", made)
    store.finish("chains")
    page = Page(report_html(gather_report(store, ["chains"])))
    assert "average length" in page.text
    assert "2.000" in page.text
    assert "By subtask" in page.text
    assert "push the block" in page.text


def test_what_a_policy_declares_is_shown(store: Store) -> None:
    policy = PolicyInfo(name="big", options={"n_parameters": 3_000_000_000, "memory_bytes": 7 * 2**30})
    keep(store, "declared", MIXED, policy=policy)
    text = Page(html_of(store, "declared")).text
    assert "3 B" in text
    assert "7.0 GiB" in text


def test_names_are_text_and_never_markup(store: Store) -> None:
    policy = PolicyInfo(name="<script>alert(1)</script>", options={"note": "a|b *c* <b>"})
    keep(store, "x-<img src=q>", MIXED, policy=policy, command="vla-bench run | tee")
    report = gather_report(store, ["x-<img src=q>"], title="</title><h1>")
    page = Page(report_html(report))
    assert not page.all("script")
    assert len(page.all("h1")) == 1
    assert not page.all("img")
    markdown = report_markdown(report)
    assert "<script>" not in markdown
    assert "tee" in markdown


def test_the_same_run_twice_or_an_unknown_one_is_refused(store: Store) -> None:
    keep(store, "lamp", MIXED)
    with pytest.raises(UsageError, match="named twice"):
        gather_report(store, ["lamp", "lamp"])
    with pytest.raises(UnknownRun, match="lamp"):
        gather_report(store, ["lump"])


def test_markdown_tables_have_one_width(store: Store) -> None:
    for index in range(5):
        keep(store, f"run-{index}", MIXED, policy=PolicyInfo(name=f"p|{index}"))
    text = report_markdown(gather_report(store, [f"run-{index}" for index in range(5)]))
    widths: list[set[int]] = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths.append({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()})
    assert len(widths) >= 4
    assert all(len(width) == 1 for width in widths)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ms_text(0.8431), "0.84 ms"), (ms_text(12.34), "12.3 ms"), (ms_text(1204.4), "1,204 ms"), (ms_text(None), "–"),
        (count_text(86_000_000), "86 M"), (count_text(2_300_000_000), "2.3 B"), (count_text(900), "900"),
        (bytes_text(512), "512 B"), (bytes_text(None), "–"), (value_text(True), "yes"), (value_text([1]), "[1]"),
    ],
)  # fmt: skip
def test_numbers_in_words(text: str, said: str) -> None:
    assert text == said


def test_the_title_of_many_runs_names_the_first_and_counts_the_others(store: Store) -> None:
    for index in range(5):
        keep(store, f"run-{index}", MIXED)
    assert gather_report(store, ["run-0", "run-1", "run-2"]).title == "run-0, run-1, run-2"
    assert gather_report(store, [f"run-{index}" for index in range(5)]).title == "run-0 and 4 more runs"


def test_only_long_heads_of_a_heat_table_stand_on_end(store: Store) -> None:
    run = spec("grid", of=many_tasks(35))
    store.begin_run(run)
    store.add("grid", results(run.plan, ["success"] * 35))
    store.finish("grid")
    page = html_of(store, "grid")
    assert '<table class="heat">' in page
    assert '<table class="heat long">' not in page


def test_every_row_of_a_chart_has_its_plot(store: Store) -> None:
    keep(store, "lamp", MIXED)
    counts = Counter(tag for tag, _ in Page(html_of(store, "lamp")).tags)
    assert counts["table"] >= 4
    assert counts["svg"] == 1 + 1 + 2 + 3, "overall, mean over difficulties, difficulties, tasks"
