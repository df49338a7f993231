"""Tables, citations and badges of a board with real runs, and the board as files."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from vla_bench.harness.evaluate import evaluate
from vla_bench.results.store import Store
from vla_bench.server.app import create_app
from vla_bench.server.badges import Badge, badge_of, draw, embeds
from vla_bench.server.boards import read
from vla_bench.server.boards.enter import enter_finished_runs
from vla_bench.server.database import open_store
from vla_bench.server.exports.dump import PUBLIC, dump_tables
from vla_bench.server.exports.sheets import Sheet, board_sheet
from vla_bench.server.exports.static import LEFT_OUT, export_pages, file_of
from vla_bench.server.exports.writing import to_csv
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import UsageError


@dataclass(frozen=True)
class Made:
    settings: Settings
    store: Store
    client: TestClient
    slug: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A board with three runs of toy_reach, of which one is an oracle's."""
    folder = tmp_path_factory.mktemp("board")
    path = folder / "board.db"
    for policy, options, name in (("random", {}, "first"), ("noop", {}, "second"), ("expert", {}, "third")):
        evaluate(policy, "toy_reach", policy_options=options, trials=2, name=name, db=str(path), executor="inline")
    settings = Settings(
        database=str(path), runs_jobs=False, shows_published=False, request_s=120.0, reads_per_minute=100_000
    ).checked()
    with open_store(settings) as store:
        enter_finished_runs(store.database)
        (head,) = read.boards(store.database)
        client = TestClient(create_app(settings, store=store), raise_server_exceptions=False)
        yield Made(settings, store, client, head.slug)


def test_a_board_as_csv_has_every_row_with_its_counts(made: Made) -> None:
    answer = made.client.get(f"/boards/{made.slug}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["run"] for row in rows} == {"first", "second", "third"}
    for row in rows:
        summary = made.store.summary(row["run"])
        assert (int(row["n_judged"]), float(row["score"])) == (summary.n_judged, summary.rate)
    assert next(row for row in rows if row["run"] == "third")["unranked"]


def test_small_numbers_stand_below_the_column_that_they_are_of(made: Made) -> None:
    page = read.board_page(made.store.database, made.slug)
    keys = [column.key for column in page.columns]
    row = next(row for row in page.rows if row.run == "third")
    scrambled = replace(row, cells=tuple(reversed(row.cells[1:])))
    sheet = board_sheet(page, [scrambled])
    (line,) = sheet.rows
    values = {cell.key: cell.value for cell in row.cells[1:]}
    assert {key: line[sheet.columns.index(key)] for key in keys} == {keys[0]: None, **values}
    assert sheet.paper is not None
    cells = sheet.paper.blocks[0].rows[0][-len(keys) :]
    assert cells == [None, *(values[key] for key in keys[1:])]


def test_filters_of_the_page_go_with_the_table(made: Made) -> None:
    answer = made.client.get(f"/boards/{made.slug}.csv", params={"family": "random"})
    assert [row["policy"] for row in csv.DictReader(io.StringIO(answer.text))] == ["random"]
    assert made.client.get(f"/boards/{made.slug}.csv", params={"mark": "golden"}).status_code == 400


def test_every_table_comes_as_json_with_an_etag(made: Made) -> None:
    for path in (f"/boards/{made.slug}", "/policies/random", "/runs/1", "/compare/1/2", "/suites/toy_reach", "/log"):
        answer = made.client.get(f"{path}.json")
        assert answer.status_code == 200, path
        assert answer.json()
        again = made.client.get(f"{path}.json", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_every_list_comes_as_csv_and_json_with_the_rows_of_its_page(made: Made) -> None:
    def lines(path: str) -> list[dict[str, str]]:
        answer = made.client.get(path)
        assert answer.status_code == 200, path
        return list(csv.DictReader(io.StringIO(answer.text)))

    assert [(line["slug"], line["self_reported"]) for line in lines("/boards.csv")] == [(made.slug, "3")]
    assert lines("/suites.csv") == lines("/boards.csv")
    assert {line["id"] for line in lines("/suites/toy_reach.csv")} == {
        task.task for task in made.store.summary("first").per_task
    }
    failed = lines("/runs/1/episodes.csv?outcome=failure")
    assert {line["outcome"] for line in failed} == {"failure"}
    episode = made.client.get(f"/runs/1/episodes/{failed[0]['episode_id']}.json").json()
    assert episode["line"]["outcome"] == "failure"
    assert len(episode["actions"]) == episode["line"]["n_steps"]
    assert lines("/log.csv?kind=account") == []
    for path in ("/boards.json", "/latency.json", "/latency.csv", "/runs/1/episodes.json", "/suites.json"):
        assert made.client.get(path).status_code == 200, path
    assert made.client.get("/boards.tex").status_code == 404


def test_a_page_names_its_own_data(made: Made) -> None:
    for path, form in (("/", "/boards.csv"), ("/runs/1", "/runs/1.csv"), ("/log?kind=board", "/log.csv?kind=board")):
        text = made.client.get(path, headers={"accept": "text/html"}).text
        assert f'href="{form}"' in text, path
        assert made.client.get(form).status_code == 200


def test_tables_for_papers_are_latex_and_markdown(made: Made) -> None:
    latex = made.client.get(f"/boards/{made.slug}.tex").text
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert r"toy\_reach" in latex
    markdown = made.client.get(f"/boards/{made.slug}.md").text
    assert re.search(r"^\| .* \| random 1 \| self-reported \| 10 \|", markdown, flags=re.MULTILINE)
    assert made.client.get("/runs/1.md").status_code == 200
    assert made.client.get("/compare/1/2.tex").status_code == 200


def test_a_citation_names_address_version_and_day(made: Made) -> None:
    text = made.client.get(f"/boards/{made.slug}.bib").text
    assert text.startswith("@misc{vla-bench-leaderboard-toy-reach-")
    assert rf"\url{{http://testserver/boards/{made.slug}}}" in text
    assert re.search(r"board version \d+, of \d{4}-\d\d-\d\d; seen on \d{4}-\d\d-\d\d", text)


def test_what_is_not_there_is_a_problem_and_not_a_table(made: Made) -> None:
    for path in ("/boards/none/x/y/z.csv", f"/boards/{made.slug}.docx", "/runs/99.csv", "/runs/0.csv", "/log.tex"):
        answer = made.client.get(path, headers={"accept": "application/json"})
        assert answer.status_code in (404, 422), path
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_formula_is_only_text_in_a_spreadsheet() -> None:
    sheet = Sheet(columns=("a", "b", "c"), rows=(("=HYPERLINK(1)", -0.5, None), ("@x", True, {"k": 1})))
    assert to_csv(sheet) == 'a,b,c\n\'=HYPERLINK(1),-0.5,\n\'@x,true,"{""k"": 1}"\n'


def test_a_badge_says_score_interval_and_mark(made: Made) -> None:
    answer = made.client.get("/badges/toy_reach/random.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    score = made.store.summary("first")
    assert score.rate is not None
    assert f"{100 * score.rate:.1f} % [" in answer.text
    assert "self-reported" in answer.text
    assert "✓" not in answer.text


def test_an_oracle_has_no_badge(made: Made) -> None:
    assert made.client.get("/badges/toy_reach/expert.svg").status_code == 404
    assert made.client.get("/badges/nowhere/random.svg").status_code == 404


def test_a_name_cannot_break_out_of_its_badge(made: Made) -> None:
    page = read.policy_page(made.store.database, "random")
    found = badge_of(replace(page, title='<script>"&'), "toy_reach")
    assert found is not None
    assert "<script" not in draw(found)
    hostile = Badge(label='"><script>', message="&<", title="]<", colour="#000")
    assert "<script" not in draw(hostile)
    markdown = dict(embeds("http://b", "http://p", "x](javascript:y"))["Markdown"]
    assert markdown == "[![x)(javascript:y](http://b)](http://p)"


def test_names_lead_to_no_file_outside() -> None:
    assert file_of("/") == "index.html"
    assert file_of("/runs/3") == "runs/3/index.html"
    assert file_of("/boards/a/b/c/d.csv") == "boards/a/b/c/d.csv"
    assert file_of("/boards/a?after=x/../y") == "boards/a/after-x_.._y.html"
    for hostile in ("/policies/%2e%2e/%2e%2e/etc", "/policies/..%2f..%2fx", "/policies/%00"):
        assert ".." not in file_of(hostile).split("/")
        assert "\0" not in file_of(hostile)


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src", "action") and value]


@pytest.mark.slow
def test_every_link_of_the_static_copy_leads_to_a_file(made: Made, tmp_path: Path) -> None:
    app = create_app(made.settings, store=made.store)
    written = export_pages(app, tmp_path / "copy")
    pages = list((tmp_path / "copy").rglob("*.html"))
    assert written.n_files > 10
    assert (tmp_path / "copy" / "boards" / made.slug / "index.html") in pages
    assert (tmp_path / "copy" / "runs" / "1" / "index.html") in pages
    assert not list((tmp_path / "copy").rglob("episodes/*/index.html"))
    for page in pages:
        links = Links()
        links.feed(page.read_text(encoding="utf-8"))
        for link in links.found:
            parts = urlsplit(link)
            if parts.scheme or not parts.path:
                continue
            assert (page.parent / parts.path).resolve().is_file(), f"{page}: {link}"
    assert (tmp_path / "copy" / LEFT_OUT).is_file()
    with pytest.raises(UsageError, match="not empty"):
        export_pages(app, tmp_path / "copy")
    with pytest.raises(UsageError, match="more than 3 pages"):
        export_pages(app, tmp_path / "small", most=3)


def test_the_dump_says_what_the_board_says_and_keeps_secrets(made: Made, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    counts = dump_tables(made.store.database, tmp_path)
    assert counts["board_row"] == 3
    assert pq.read_table(tmp_path / "board_row.parquet").num_rows == 3
    with sqlite3.connect(":memory:") as again:
        again.executescript((tmp_path / "board.sql").read_text())
        assert again.execute("SELECT count(*) FROM task_cell").fetchone()[0] == counts["task_cell"]
    names = {path.stem for path in tmp_path.glob("*.csv")}
    assert names == {table.name for table in PUBLIC}
    assert not names & {"account", "token", "draw_key"}


@pytest.mark.slow
def test_the_badge_is_well_formed(made: Made, tmp_path: Path) -> None:
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.fromstring(made.client.get("/badges/toy_reach/random.svg").text)
    assert root.attrib["role"] == "img"
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
