"""Reports in a browser's window: of a telephone's width and of a screen's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest

from tests.results.reports import MIXED, html_of, keep
from vla_bench.results.store import Store
from vla_bench.spec.messages import PolicyInfo


@pytest.fixture
def store(open_store: Callable[..., Store], tmp_path: Path) -> Store:
    return open_store(tmp_path / "results.db")


FRAME = """<!doctype html><iframe id="f" style="width:{width}px;height:600px;border:0" srcdoc="{page}"></iframe>
<script>
const frame = document.getElementById("f");
frame.onload = () => {{ document.title = "W" + frame.contentDocument.documentElement.scrollWidth + "W"; }};
</script>"""
"""A window of any width: the browser's own has a least one."""
WIDTHS = """<!doctype html><iframe id="f" style="width:{width}px;height:600px;border:0" srcdoc="{page}"></iframe>
<script>
const frame = document.getElementById("f");
frame.onload = () => {{
  const names = [...frame.contentDocument.querySelectorAll('table.chart tr:not(.same) > th[scope="row"]')];
  document.title = "W" + Math.min(...names.map((name) => Math.floor(name.getBoundingClientRect().width))) + "W";
}};
</script>"""


@pytest.mark.browser
@pytest.mark.parametrize(("width", "least"), [(320, 200), (1280, 200)])
def test_names_in_charts_have_room(store: Store, tmp_path: Path, width: int, least: int) -> None:
    names = [f"a-policy-with-quite-a-long-name-checkpoint-{index}000-made_up" for index in range(2)]
    for name in names:
        keep(store, name, MIXED)
    assert shown_width(WIDTHS.format(width=width, page=escape(html_of(store, *names))), tmp_path) >= least


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_of_the_page_lies_outside_the_window(store: Store, tmp_path: Path, width: int) -> None:
    names = [f"a-run-with-a-long-name-{index}" for index in range(5)]
    for index, name in enumerate(names):
        keep(store, name, MIXED, policy=PolicyInfo(name=f"policy-{index}"))
    for chosen in (names, names[:2]):
        found = shown_width(FRAME.format(width=width, page=escape(html_of(store, *chosen))), tmp_path)
        assert width - 20 <= found <= width


def shown_width(page: str, folder: Path) -> int:
    """The number that a page's script writes into its title."""
    program = shutil.which("chromium")
    assert program is not None
    path = folder / "frame.html"
    path.write_text(page, encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command = [program, *options, "--window-size=1400,900", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"<title>W(\d+)W", done.stdout)
    assert found is not None, done.stderr[-500:]
    return int(found.group(1))


HEAD_HEIGHT = (
    WIDTHS.replace('table.chart tr:not(.same) > th[scope="row"]', "table.heat thead th")
    .replace("Math.min", "Math.max")
    .replace(".width", ".height")
)


@pytest.mark.browser
def test_long_names_over_a_heat_table_are_broken(store: Store, tmp_path: Path) -> None:
    names = [f"a-policy-with-quite-a-long-name-that-goes-on-and-on-checkpoint-{index}000-made_up" for index in range(5)]
    for name in names:
        keep(store, name, MIXED)
    assert 100 <= shown_width(HEAD_HEIGHT.format(width=1280, page=escape(html_of(store, *names))), tmp_path) <= 240
