"""Drawing on frames: captions, a bar of steps, and the mark of how it ended: in words and shape, not colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from vla_bench.spec.outcomes import Outcome

__all__ = ["Ink", "Mark", "draw_bar", "draw_mark", "fitted", "font", "wrapped"]

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Ink:
    """The colours of a film; contrasts of text are at least 4.5."""

    paper: Colour = (22, 24, 28)
    text: Colour = (238, 238, 238)
    faint: Colour = (164, 168, 176)
    success: Colour = (46, 160, 67)
    failure: Colour = (218, 54, 51)
    running: Colour = (120, 128, 140)


INK = Ink()


@dataclass(frozen=True, slots=True)
class Mark:
    """How an episode stands: a word, a colour, and a shape."""

    word: str
    colour: Colour
    shape: str

    @classmethod
    def of(cls, outcome: Outcome | None) -> Mark:
        """The mark of an outcome; None for an episode that goes on."""
        if outcome is Outcome.SUCCESS:
            return cls("success", INK.success, "tick")
        if outcome is Outcome.FAILURE:
            return cls("failure", INK.failure, "cross")
        return cls("", INK.running, "")


@cache
def font(size: int) -> Any:
    """Pillow's own typeface, which needs no file of the system."""
    return ImageFont.load_default(size)


def wrapped(text: str, size: int, width: int, n_lines: int) -> list[str]:
    """Break a text at spaces into at most `n_lines` lines of `width` pixels; what does not fit ends in `…`."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    kept = lines[:n_lines]
    if len(lines) > n_lines:
        kept[-1] = f"{kept[-1]} …"
    return [fitted(line, size, width) for line in kept]


def fitted(text: str, size: int, width: int) -> str:
    """The text, cut so that it takes at most `width` pixels."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def draw_mark(draw: ImageDraw.ImageDraw, mark: Mark, x: int, y: int, side: int) -> None:
    """Draw a tick or a cross in a disc, inside the square of `side` pixels at `(x, y)`."""
    if not mark.shape:
        return
    draw.ellipse((x, y, x + side - 1, y + side - 1), fill=mark.colour)
    pen = max(2, side // 8)
    tick = [((0.26, 0.52), (0.44, 0.70)), ((0.44, 0.70), (0.75, 0.32))]
    cross = [((0.3, 0.3), (0.7, 0.7)), ((0.7, 0.3), (0.3, 0.7))]
    for (x0, y0), (x1, y1) in tick if mark.shape == "tick" else cross:
        draw.line((x + x0 * side, y + y0 * side, x + x1 * side, y + y1 * side), fill=(255, 255, 255), width=pen)


def draw_bar(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], share: float, colour: Colour) -> None:
    """Draw how much of the step limit is used."""
    x0, y0, x1, y1 = box
    draw.rectangle((x0, y0, x1, y1), fill=(60, 64, 72))
    draw.rectangle((x0, y0, x0 + round((x1 - x0) * min(1.0, share)), y1), fill=colour)


def blank(width: int, height: int) -> Image.Image:
    """An empty canvas."""
    return Image.new("RGB", (width, height), INK.paper)
