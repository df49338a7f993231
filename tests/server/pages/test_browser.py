"""A reader at the board: every page in Chromium, with real runs behind it, in both colour schemes and on a phone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.conftest import PROGRAM
from tests.server.pages.real_board import RealBoard, build
from tests.server.submitting import DECLARATION, Service, running, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("board_in_a_browser")]

CHROMIUM = "/usr/bin/chromium"
WEIGHT = 150_000
"""Bytes of a page with everything that it loads by itself, uncompressed."""
SCREENSHOTS = os.environ.get("VLA_BENCH_SCREENSHOTS", "")
"""Folder that the pictures of the docs are written to; empty for a temporary one."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RealBoard:
    return build(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def site(made: RealBoard) -> Iterator[Service]:
    with running(made.database, made.folder, VLA_BENCH_BOARD_READS_PER_MINUTE="100000") as service:
        yield service


@pytest.fixture
def browser() -> Iterator[Browser]:
    """One a test: its processes are gone when the test looks at what it left behind."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test at any message in the console: broken scripts and breaches of the CSP end there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = context.new_page()
    said: list[str] = []
    found.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: said.append(str(error)))
    yield found
    context.close()
    assert not [text for text in said if "status of 4" not in text], said


def addresses(site: Service, made: RealBoard, page: Page) -> dict[str, str]:
    """Name → address of one page of each type, found by following links."""
    board = f"/boards/{made.slug}"
    page.goto(site.url + board)
    run = page.locator("table a[href^='/runs/']").first.get_attribute("href") or ""
    page.goto(site.url + run)
    assert page.locator("#latency ~ figure .bar-fill").count() > 1
    episode = page.locator("#episodes ~ .scroll a").first.get_attribute("href") or ""
    compare = page.locator("#compare ~ ul a").first.get_attribute("href") or ""
    submission = page.get_by_role("link", name="Its submission").get_attribute("href") or ""
    return {
        "home": "/", "board": board, "board-filtered": f"{board}?mark=replayed&sort=score&dir=desc&columns=all",
        "published": "/boards/calvin_abc_d/standard-egl-gpu-1/gpu/original", "choice": "/boards/libero_10",
        "many": "/boards/libero_10/openpi-1/gpu/original", "policy": "/policies/steady", "run": run,
        "episodes": f"{run}/episodes", "episode": episode, "compare": compare, "compare-none": "/compare",
        "suites": "/suites", "suite": "/suites/toy_reach", "submission": submission, "submit": "/submit",
        "account": "/account", "log": "/log", "methodology": "/methodology", "status": "/status", "missing": "/nothing",
        "latency": "/latency", "board-all": f"{board}?mark=all", "scores": "/scores",
    }  # fmt: skip


VIEWS = ((1280, "light"), (1280, "dark"), (320, "dark"), (320, "light"))
_RULES = {
    "light": "{resultTypes: ['violations']}",
    # The scheme changes colours and nothing else: the other rules would find the same again.
    "dark": "{resultTypes: ['violations'], runOnly: ['color-contrast', 'link-in-text-block']}",
}


@pytest.mark.timeout(400)
def test_no_page_has_a_fault_of_accessibility_in_either_scheme(
    site: Service, made: RealBoard, browser: Browser
) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    # axe is injected, which the policy of the pages forbids, as it should.
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    _film_one(page, site, made)
    faults = []
    for name, address in addresses(site, made, page).items():
        page.goto(site.url + address)
        page.evaluate("for (const it of document.querySelectorAll('details')) it.open = true")
        page.evaluate(axe)
        for width, scheme in VIEWS:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = page.evaluate(f"axe.run(document, {_RULES[scheme]})")
            faults += [
                f"{name} {width} {scheme}: {fault['id']} {node['target']} {node['failureSummary']}"
                for fault in found["violations"]
                for node in fault["nodes"]
            ]
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            faults += [f"{name} {width}: the page is {overflow} pixels too wide"] * (overflow > 0)
    context.close()
    assert not faults, "\n".join(faults)


def _film_one(page: Page, site: Service, made: RealBoard) -> None:
    """Have the pictures of an episode made; on a busy machine they are not there when the answer is."""
    episode = addresses(site, made, page)["episode"]
    page.goto(site.url + episode)
    if (button := page.get_by_role("button", name="Replay it")).count():
        button.click()
    until(lambda: page.goto(site.url + episode) and page.locator(".strip img").count(), 120.0)


def test_pages_are_light_and_need_no_script(site: Service, made: RealBoard, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    loaded: list[int] = []
    page.on("response", lambda answer: loaded.append(len(answer.body())) if answer.ok else None)
    for name, address in addresses(site, made, page).items():
        loaded.clear()
        page.goto(site.url + address)
        assert page.locator("h1").count() == 1, name
        assert 0 < sum(loaded) < WEIGHT, (name, sum(loaded))
    context.close()


def test_reader_sorts_filters_and_compares(site: Service, made: RealBoard, page: Page) -> None:
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="A hand reaches").first.click()
    scores = page.locator("table.board td.score .value")
    assert scores.first.inner_text() == "94.0 %"
    page.get_by_role("link", name="Score", exact=True).click()
    assert page.locator("th[aria-sort]").inner_text().startswith("Score")
    by_score = [float(text.removesuffix(" %")) for text in scores.all_inner_texts()]
    assert by_score == sorted(by_score, reverse=True)
    page.get_by_role("link", name="Score", exact=True).click()
    assert [float(text.removesuffix(" %")) for text in scores.all_inner_texts()] == by_score[::-1]
    page.get_by_role("link", name="Self-reported 1", exact=True).click()
    assert page.locator("table.board tbody th .name").all_inner_texts() == ["eager"]
    page.get_by_text("Filter and sort").click() if not page.locator("details.choose[open]").count() else None
    page.get_by_label("policy family").select_option("steady")
    page.get_by_text("No row passes these filters").wait_for()
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("first").select_option(index=0)
    page.get_by_role("button", name="Compare").click()
    assert page.get_by_text("is better").count() == 1
    assert page.locator("#discordant ~ .scroll tbody tr").count() > 5


_WIDTHS = """Promise.all([...document.querySelectorAll('.strip img')].map(async image => {
    image.loading = 'eager'; await image.decode(); return image.naturalWidth;
}))"""


def test_reader_plays_an_episode(site: Service, made: RealBoard, page: Page) -> None:
    _film_one(page, site, made)
    assert page.locator(".strip img").count() > 1
    widths = page.evaluate(_WIDTHS)
    assert all(width > 100 for width in widths)
    page.evaluate("document.querySelector('video').play()")
    until(lambda: page.evaluate("document.querySelector('video').currentTime > 0.2"))
    assert page.get_by_role("heading", name="Actions and gripper over time").count() == 1


def test_submitter_signs_in_with_a_token_and_nobody_without(site: Service, made: RealBoard, page: Page) -> None:
    page.goto(f"{site.url}/account")
    page.get_by_label("Token").fill("vlab_" + "x" * 51)
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_text("wrong, expired or revoked").count() == 1
    refused = page.request.post(f"{site.url}/account/tokens", form={"label": "x", "scope": "submit"})
    assert refused.status == 401
    page.goto(f"{site.url}/account")
    page.get_by_label("Token").fill(str(made.token))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="alice").wait_for()
    assert page.locator("#submissions ~ .scroll tbody tr").count() >= 3
    page.get_by_label("Label").fill("<b>from the test</b>")
    page.get_by_role("button", name="Make a token").click()
    secret = page.locator("#new-token").inner_text()
    assert secret.startswith("vlab_")
    row = page.get_by_role("row").filter(has_text="<b>from the test</b>")
    row.get_by_role("button", name="Revoke").click()
    assert "revoked" in page.get_by_role("row").filter(has_text="<b>from the test</b>").inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{site.url}/account")
    page.get_by_label("Token").fill(secret)
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_text("wrong, expired or revoked").count() == 1


def test_a_run_that_is_submitted_comes_onto_its_board(
    site: Service, made: RealBoard, page: Page, tmp_path: Path
) -> None:
    without = _submit(site, made, token="vlab_" + "y" * 51, folder=tmp_path)
    assert without.returncode != 0
    assert "token" in without.stdout + without.stderr
    done = _submit(site, made, token=str(made.token), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    page.goto(f"{site.url}/boards/{made.slug}?family=drowsy")
    page.get_by_role("link", name="drowsy").first.wait_for()
    page.locator("table a[href^='/runs/']").first.click()
    page.get_by_role("link", name="Its submission").click()
    assert page.get_by_text("listed").count() >= 1


def _submit(site: Service, made: RealBoard, *, token: str, folder: Path) -> subprocess.CompletedProcess[str]:
    declaration = folder / "declaration.yaml"
    declaration.write_text(yaml.safe_dump(DECLARATION.model_copy(update={"family": "drowsy"}).model_dump(mode="json")))
    command = [PROGRAM, "submit", "drowsy-0.1", "--server", site.url, "--declaration", str(declaration)]
    command += ["--db", str(made.folder / "mine.db")]
    environment = os.environ | {"VLA_BENCH_TOKEN": token}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_pictures_for_the_docs(site: Service, made: RealBoard, browser: Browser, tmp_path: Path) -> None:
    """Writes what the docs show; a picture without any content is a fault."""
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    _film_one(page, site, made)
    known = addresses(site, made, page)
    for name in ("home", "board", "published", "policy", "run", "episode", "compare", "submission"):
        _picture(page, site.url + known[name], folder / f"{name}.webp")
    context.close()
    for name, width, scheme in (("board-dark", 1280, "dark"), ("board-phone", 320, "light")):
        context = _context(browser, width, scheme)
        _picture(context.new_page(), site.url + known["board"], folder / f"{name}.webp")
        context.close()


def _context(browser: Browser, width: int, scheme: Any) -> BrowserContext:
    return browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)


def _picture(page: Page, address: str, path: Path) -> None:
    import io

    from PIL import Image

    page.goto(address)
    page.evaluate("for (const image of document.querySelectorAll('img')) image.loading = 'eager'")
    page.wait_for_load_state("networkidle")
    # A long page is cut: the docs show what a reader sees first.
    data = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": page.viewport_size["width"], "height": 1100})  # type: ignore[index]
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    assert len(picture.getcolors(1 << 24) or []) > 50
    picture.save(path, "WEBP", quality=82, method=6)
