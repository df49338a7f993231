"""Every page of made-up boards, as it goes over the wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.pages import made_up
from tests.server.pages.made_up import CHAIN_SLUG, EPISODE, SLUG
from vla_bench.server.app import create_app
from vla_bench.server.boards.marks import Mark
from vla_bench.server.boards.views import Filters, LatencyLine, LatencyTable, Note
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import NotListed, StoreLocked

PAGES = (
    "/", f"/boards/{SLUG}", f"/boards/{SLUG}?sort=score&dir=desc&columns=all", "/policies/policy-1", "/runs/1",
    "/runs/1/episodes", f"/runs/1/episodes/{EPISODE}", "/compare/1/4", "/compare", "/suites", "/suites/metaworld_mt10",
    "/submissions/sub1", "/submit", "/account", "/log", "/methodology", "/status", "/latency",
)  # fmt: skip


class Reader(HTMLParser):
    """Collects elements, their attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.shown: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split())


def read(client: TestClient, address: str, status: int = 200) -> Reader:
    answer = client.get(address, headers={"accept": "text/html"})
    assert answer.status_code == status, (address, answer.text[:500])
    return Reader(answer.text)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_whole_and_obeys_its_own_policy(client: TestClient, shown: Callable[..., None], address: str) -> None:
    shown()
    found = read(client, address)
    assert len(found.all("h1")) == 1
    assert found.all("html")[0]["lang"] == "en"
    assert found.all("a")[0] == {"class": "skip", "href": "#main"}
    assert [it for it in found.all("script") if set(it) != {"src", "defer"}] == []
    assert not [name for _, attributes in found.elements for name in attributes if name == "style" or name[:2] == "on"]
    assert all(it.get("scope") for it in found.all("th"))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(found.all("table")) == len(found.all("caption"))
    for image in found.all("svg"):
        assert image.get("aria-hidden") == "true" or image.get("role") == "img" or "viewbox" in image
    assert "style-src 'self'" in client.get(address).headers["content-security-policy"]


@pytest.mark.parametrize("address", PAGES)
def test_a_page_weighs_little(client: TestClient, shown: Callable[..., None], address: str) -> None:
    shown(board_page=lambda *_, **asked: made_up.board((made_up.ROWS * 6)[:50], sort=asked["sort"]))
    weight = len(client.get(address).content)
    weight += sum(len(client.get(f"/static/{name}").content) for name in ("board.css", "board.js", "icon.svg"))
    assert weight < 150_000


EVIL = """"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"""


def test_no_name_becomes_markup(client: TestClient, shown: Callable[..., None]) -> None:
    row = made_up.row(
        1, policy=EVIL, family=EVIL, version=EVIL, run=EVIL, trained_on=EVIL, state_reason=EVIL,
        notes=(Note(kind=EVIL, text=EVIL),), unranked=EVIL,
    )  # fmt: skip
    head = made_up.head(title=EVIL, suite=EVIL, frozen=EVIL)
    evil_tasks = tuple(replace(it, task=EVIL, instruction=EVIL) for it in made_up.run().tasks)
    declaration = {"links": ["javascript:alert(1)", EVIL], "notes": EVIL}
    log = replace(made_up.log().entries[0], actor=EVIL, subject=EVIL, detail={EVIL: EVIL})
    shown(
        board_page=lambda *_, **asked: made_up.board((row,), head=head, sort="rank"),
        boards=lambda database: (head,),
        policy_page=lambda *_: made_up.policy(title=EVIL, family=EVIL),
        run_page=lambda *_: made_up.run(
            row=row, declaration={EVIL: EVIL}, command=EVIL, tasks=evil_tasks
        ),
        episode_page=lambda *_: made_up.episode(instruction=EVIL, action_names=(EVIL,) * 7, params={EVIL: EVIL}),
        compare_page=lambda *_, **asked: made_up.compare(a=row, reason=EVIL),
        suite_page=lambda *_, **asked: made_up.suite(traps=(EVIL,), title=EVIL),
        submission_page=lambda *_, **__: made_up.submission(reason=EVIL, run_name=EVIL, declaration=declaration),
        log_page=lambda *_, **asked: made_up.log(entries=(log,)),
    )  # fmt: skip
    for address in PAGES:
        found = read(client, address)
        assert not found.all("img"), address
        assert len(found.all("script")) == 1, address
        assert not [it for it in found.all("a") if it.get("href", "").lower().startswith("javascript")], address
        assert "49" not in re.findall(r"'(\d+)", found.text), address
    assert EVIL in read(client, f"/boards/{SLUG}").text


def test_filters_and_sort_reach_the_board_as_they_stand_in_the_address(
    client: TestClient, shown: Callable[..., None]
) -> None:
    asked: list[Any] = []

    def page(database: Any, slug: str, filters: Filters, **more: Any) -> Any:
        asked.append((slug, filters, more))
        return made_up.board(filters=filters, sort=more["sort"], descending=more["descending"], next_after="x y")

    shown(board_page=page)
    found = read(
        client,
        f"/boards/{SLUG}?mark=re-run,replayed&trained_on=this+suite&scope=one&family=lamp&weights=open&min_b=0.5&max_b=7"
        "&since=2026-11-01&until=2026-11-30&variants=yes&sort=score&dir=desc&after=k",
    )
    slug, filters, more = asked[0]
    assert slug == SLUG
    assert filters == Filters(
        marks=("re-run", "replayed"), trained_on="this suite", checkpoint_scope="one", family="lamp", open_weights=True,
        min_parameters=500_000_000, max_parameters=7_000_000_000, since="2026-11-01", until="2026-11-30", variants=True,
    )  # fmt: skip
    assert more == {"sort": "score", "descending": True, "after": "k", "size": 50}
    sorted_by = [it for it in found.all("th") if "aria-sort" in it]
    assert [it["aria-sort"] for it in sorted_by] == ["descending"]
    following = next(it["href"] for it in found.all("a") if it.get("rel") == "next")
    assert "family=lamp" in following
    assert "after=x+y" in following
    assert "dir=desc" in following


def test_a_second_click_on_a_header_turns_the_order_round(client: TestClient, shown: Callable[..., None]) -> None:
    shown()
    first = client.get(f"/boards/{SLUG}?sort=score&dir=desc").text
    found = re.search(r'aria-sort="descending"><a href="([^"]+)"', first)
    assert found is not None
    assert found[1].endswith("sort=score")
    again = client.get(found[1]).text
    assert re.search(r'aria-sort="ascending"><a href="[^"]+dir=desc"', again)


def test_published_rows_stand_apart_with_their_footnotes(client: TestClient, shown: Callable[..., None]) -> None:
    shown()
    text = read(client, f"/boards/{SLUG}").text
    order = [
        text.index(word) for word in ("Verified replayed", "Self-reported complete", "Published figures", "Not ranked")
    ]
    assert order == sorted(order)
    published = text[order[2] : order[3]]
    assert "98.4 %" in published
    assert "no count" in published
    assert "LaMP, II, line 412" in published
    assert "The mean of its parts is 97.9, not 98.3." in text[order[3] :]


def test_what_is_missing_is_a_dash_with_a_reason_and_never_0(client: TestClient, shown: Callable[..., None]) -> None:
    row = made_up.row(
        6, mark=Mark.PUBLISHED, score=None, cells=(), parameters=None, date="", n_runs=0, trained_on="undeclared"
    )  # fmt: skip
    shown(board_page=lambda *_, **asked: made_up.board((row,), axis=None, sort="rank"))
    text = read(client, f"/boards/{SLUG}?columns=all").text
    shown_row = text[text.index("policy-6 1.6") : text.index("published", text.index("policy-6 1.6"))]
    assert re.search(r"\b0(\.0)?\b", shown_row) is None
    for reason in ("no score", "number of episodes not stated", "not known", "not declared", "date not known"):
        assert f"— {reason}" in text


def test_an_empty_board_says_so(client: TestClient, shown: Callable[..., None]) -> None:
    shown(board_page=lambda *_, **asked: made_up.board((), n_board=0, axis=None), boards=lambda database: ())
    assert "No run stands here yet" in read(client, f"/boards/{SLUG}").text
    assert "No board exists yet" in read(client, "/").text
    shown(board_page=lambda *_, **asked: made_up.board((), n_board=9, axis=None))
    assert "No row passes these filters; the board has 9 rows without them." in read(client, f"/boards/{SLUG}").text


def test_saturation_and_a_frozen_board_are_said(client: TestClient, shown: Callable[..., None]) -> None:
    head = made_up.head(frozen="Protocol 2 fixes the camera.")
    told = replace(head.saturation, is_saturated=True, text="This suite no longer separates the leaders.")
    shown(board_page=lambda *_, **asked: made_up.board(head=replace(head, saturation=told)))
    text = read(client, f"/boards/{SLUG}").text
    assert "This board is frozen. Protocol 2 fixes the camera." in text
    assert "Saturated. This suite no longer separates the leaders." in text


def test_answer_times_are_in_tables_of_one_device_and_precision(client: TestClient, shown: Callable[..., None]) -> None:
    shown(latency_tables=lambda *_: ())
    assert "No run with a declared device" in read(client, "/latency").text
    line = LatencyLine(row=made_up.row(1), p50_ms=41.2, p95_ms=None, n_queries=9120)
    shown(latency_tables=lambda *_: (LatencyTable(device="NVIDIA L4", precision="bfloat16", lines=(line,)),))
    text = read(client, "/latency").text
    assert "NVIDIA L4, bfloat16" in text
    assert "41.2 ms — 9,120" in text


def test_a_suite_with_one_board_leads_to_it_and_with_several_to_the_choice(
    client: TestClient, shown: Callable[..., None]
) -> None:
    shown()
    answer = client.get("/boards/metaworld_mt10", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/boards/{SLUG}")
    other = made_up.head(slug="metaworld_mt10/standard-1/gpu/original", renderer_class="gpu")
    shown(boards=lambda database: (made_up.head(), other))
    assert "rendered on a GPU" in read(client, "/boards/metaworld_mt10").text


def test_a_run_of_chains_has_its_curve_and_the_curve_its_table(client: TestClient, shown: Callable[..., None]) -> None:
    run = made_up.run(
        head=made_up.chain_head(), row=made_up.chain_row(1, 4.25), columns=made_up.STAGES,
        summary=made_up.summary(chains=made_up.chains()),
    )  # fmt: skip
    shown(run_page=lambda *_: run)
    text = read(client, "/runs/1").text
    assert "How far chains go" in text
    assert "745/1000 74.5 %" in text
    assert CHAIN_SLUG in client.get("/runs/1").text


def test_a_run_without_answer_times_or_tasks_says_so(client: TestClient, shown: Callable[..., None]) -> None:
    empty = replace(made_up.summary().latencies, n_queries=0, policy_p50_ms=None, policy_p95_ms=None)
    run = made_up.run(
        summary=made_up.summary(latencies=empty), tasks=(), n_tasks=0, others=(), declaration={},
        row=made_up.row(1, efficiency={}),
    )  # fmt: skip
    shown(run_page=lambda *_: run, episodes_page=lambda *_, **asked: made_up.episodes(lines=()))
    text = read(client, "/runs/1").text
    assert "No answer time was measured in this run." in text
    assert "No task of this run is stored." in text
    assert "No episode of this run is stored." in text


def test_an_episode_without_a_trace_says_why_there_is_no_picture(
    client: TestClient, shown: Callable[..., None]
) -> None:
    shown(episode_page=lambda *_: made_up.episode(actions=None, query_steps=None, latency_ms=None))
    text = read(client, f"/runs/1/episodes/{EPISODE}").text
    assert "No trace of this episode is stored here, so it cannot be replayed" in text
    assert "so its actions cannot be drawn" in text
    assert client.post(f"/runs/1/episodes/{EPISODE}/film").status_code == 409


def test_a_suite_that_is_not_installed_here_says_so(client: TestClient, shown: Callable[..., None]) -> None:
    head = made_up.head(suite="elsewhere")
    shown(episode_page=lambda *_: made_up.episode(head=head))
    assert (
        "No picture can be made on this server: unknown suite 'elsewhere'"
        in read(client, f"/runs/1/episodes/{EPISODE}").text
    )


def test_an_unchanged_page_is_not_sent_again(client: TestClient, shown: Callable[..., None]) -> None:
    shown()
    first = client.get(f"/boards/{SLUG}")
    again = client.get(f"/boards/{SLUG}", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/boards/{SLUG}?sort=score", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200
    changed = made_up.board(head=made_up.head(version=8))
    shown(board_page=lambda *_, **asked: changed)
    assert client.get(f"/boards/{SLUG}", headers={"if-none-match": first.headers["etag"]}).status_code == 200
    assert client.get("/account").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/runs/x", 404), ("/runs/99999999999999999999", 404), ("/runs/1/episodes/../x", 404), ("/compare/1/x", 404),
        (f"/runs/1/episodes/{'Z' * 16}", 404), (f"/boards/{SLUG}?min_b=nan", 400), (f"/boards/{SLUG}?mark=best", 400),
        ("/policies/a%00b", 400), ("/log?subject=%07", 400), ("/runs/1/episodes?outcome=best", 400),
        ("/boards/no_such_suite", 404), ("/static/secret.py", 404), ("/nothing", 404),
    ],
)  # fmt: skip
def test_a_bad_address_is_a_page_that_leads_on(
    client: TestClient, shown: Callable[..., None], address: str, status: int
) -> None:
    shown()
    found = read(client, address, status)
    assert f"Error {status}" in found.text
    assert "All boards" in found.text


def test_a_query_may_name_anything(client: TestClient, shown: Callable[..., None]) -> None:
    shown()
    found = read(client, "/?path=x&request=y&template=z&status=500")
    assert "/boards.json?path=x&request=y&template=z&status=500" in [each.get("href") for each in found.all("a")]


def test_a_board_that_takes_no_submissions_offers_none_and_has_its_own_name(
    settings: Settings, shown: Callable[..., None]
) -> None:
    shown()
    own = settings.model_copy(update={"accepts_submissions": False, "title": "My results"})
    with TestClient(create_app(own), base_url="http://testserver") as client:
        found = read(client, "/")
    assert "My results" in found.text
    offered = [each.get("href") for each in found.all("a")]
    assert "/log" in offered
    assert not {"/submit", "/account"} & set(offered)


def test_errors_of_the_database_are_pages_without_its_secrets(client: TestClient, shown: Callable[..., None]) -> None:
    def missing(*_: Any, **asked: Any) -> Any:
        raise NotListed("there is no run 5")

    def slow(*_: Any, **asked: Any) -> Any:
        raise StoreLocked("/secret/path took too long")

    shown(run_page=missing, policy_page=slow)
    assert "there is no run 5" in read(client, "/runs/5", 404).text
    text = read(client, "/policies/x", 503).text
    assert "Not available just now" in text
    assert "/secret" not in text


def test_forms_of_another_site_change_nothing(client: TestClient) -> None:
    for address in ("/account/tokens", "/account/tokens/abcdefgh/revoke", "/account/sign-in"):
        headers = {"sec-fetch-site": "cross-site", "accept": "text/html"}
        answer = client.post(address, headers=headers, content="token=x&label=y")
        assert answer.status_code in (401, 403), address


def test_columns_that_have_nothing_to_say_are_left_out_unless_all_are_asked_for(
    client: TestClient, shown: Callable[..., None]
) -> None:
    row = made_up.row(6, mark=Mark.PUBLISHED, parameters=None, date="", n_runs=0, trained_on="undeclared")
    row = replace(row, checkpoint_scope="undeclared", cells=(replace(row.cells[0], value=None), *row.cells[1:]))
    shown(board_page=lambda *_, **asked: made_up.board((row,), sort="rank"))

    def heads(query: str) -> set[str]:
        found = read(client, f"/boards/{SLUG}{query}")
        return {it["href"].split("sort=")[1].split("&")[0] for it in found.all("a") if "sort=" in it.get("href", "")}

    few, every = heads(""), heads("?columns=all")
    assert {"rank", "policy", "score", "n", "mark"} <= few
    assert not {"parameters", "runs", "date"} & few
    assert {"parameters", "runs", "date"} <= every
    assert len(every) > len(few)
