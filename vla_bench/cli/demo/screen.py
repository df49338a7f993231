"""The terminal as a picture: an SVG whose frames are what the screen showed at each event of the demo."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from vla_bench.cli.display.console import THEME, Transcript, keep_transcript

__all__ = ["Screen"]

WIDTH, HEIGHT = 112, 24
FRAME_S, HOLD_S = 0.6, 5.0
TITLE = "vla-bench demo"
FORMAT = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"><style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold }}
{styles}</style><defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""
"""Rich's own without the fonts that it would load from the network."""


class Screen:
    """Keeps what both consoles print, and takes frames of it."""

    def __init__(self) -> None:
        """Begin to keep."""
        self._printed: Transcript = keep_transcript()
        self._frames: list[str] = []

    def shoot(self, running: Any = "") -> None:
        """Take a frame: the last lines of what was printed, and `running` (a renderable) below them."""
        lines = self._lines(running)[-HEIGHT:]
        lines += [""] * (HEIGHT - len(lines))
        self._frames.append(_svg(lines, f"f{len(self._frames)}"))

    def save_film(self, path: Path) -> None:
        """Write all frames as one animated SVG that repeats; a viewer without animation shows the last one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_animated(self._frames), encoding="utf-8")

    def _lines(self, running: Any) -> list[str]:
        """What was printed, as lines with ANSI colours."""
        file = io.StringIO()
        console = Console(
            width=WIDTH, file=file, force_terminal=True, color_system="truecolor", theme=THEME, highlight=False
        )
        for method, args, options in self._printed:
            # Long lines fold here: a picture has no scroll bar.
            getattr(console, method)(*args, **{**options, "soft_wrap": False})
        console.print(running, end="")
        return file.getvalue().splitlines()


def _svg(lines: list[str], unique_id: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    return console.export_svg(title=TITLE, unique_id=unique_id, code_format=FORMAT)


def _animated(frames: list[str]) -> str:
    """Stack the frames; each is visible in its own part of the cycle."""
    total_s = FRAME_S * (len(frames) - 1) + HOLD_S
    box = re.search(r'viewBox="([^"]+)"', frames[0])
    view = box.group(1) if box else "0 0 1400 700"
    rules, bodies = [], []
    for index, frame in enumerate(frames):
        begin = 100 * index * FRAME_S / total_s
        end = 100.0 if index == len(frames) - 1 else 100 * (index + 1) * FRAME_S / total_s
        rules.append(
            f"@keyframes show{index}{{0%{{visibility:hidden}}{begin:.3f}%{{visibility:visible}}"
            f"{end:.3f}%{{visibility:{'visible' if end == 100.0 else 'hidden'}}}}}"
            f".show{index}{{animation:show{index} {total_s:.2f}s step-end infinite}}"
        )
        bodies.append(f'<g class="show{index}">{frame}</g>')
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}"><style>{"".join(rules)}</style>'
    return f"{opening}{''.join(bodies)}</svg>"
