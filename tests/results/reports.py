"""Reports of runs that nobody ran, and what a test wants to know of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from tests.results.samples import results, spec
from vla_bench.results.report import gather_report, report_html
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store


class Page(HTMLParser):
    """What a test wants to know of a page; void elements and closing tags are checked on the way."""

    VOID = frozenset({"meta", "img", "link", "line", "path"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def keep(store: Store, name: str, outcomes: Sequence[str], **changes: Any) -> RunSpec:
    run = spec(name, **changes)
    store.begin_run(run)
    store.add(name, results(run.plan, outcomes))
    store.finish(name)
    return run


def html_of(store: Store, *names: str, **changes: Any) -> str:
    return report_html(replace(gather_report(store, names), **changes))


MIXED = ["success", "failure", "success", "success", "failure", "success"]
