"""Reading the Markdown of README and docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"(?:<!-- (?P<order>.*?) -->\n)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


class Block(NamedTuple):
    """A code block; `order` is the comment above it: `run`, `file: NAME`, `run-with: FOLDER`, or empty."""

    order: str
    language: str
    text: str


def read(page: str) -> str:
    """The text of a page of the docs, or of a file at the root."""
    path = DOCS / page
    return (path if path.exists() else ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The code blocks of a page, in order."""
    return [Block(m["order"] or "", m["language"], m["text"]) for m in _BLOCK.finditer(read(page))]


def links(page: str) -> list[str]:
    """The targets of the links of a page, outside of code blocks."""
    return _LINK.findall(_BLOCK.sub("", read(page)))


def first_cells(page: str, heading: str = "") -> list[str]:
    """The names in backquotes in the first column of the tables under a heading (of the whole page without one)."""
    text = read(page)
    if heading:
        level, _, rest = heading.partition(" ")
        text = re.split(rf"^{level} {re.escape(rest)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
        text = re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    cells = [row.split(" | ")[0] for row in _ROW.findall(text)]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def write_files(page: str, folder: Path) -> list[Path]:
    """Write every block that is ordered as a file; return their paths."""
    written = []
    for block in blocks(page):
        if block.order.startswith("file: "):
            path = folder / block.order.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            written.append(path)
    return written
