"""`Panel`: one episode on a film: its pictures, and below them what is asked for, where it stands, how it ended."""

from __future__ import annotations

from functools import cached_property

from PIL import Image, ImageDraw

from vla_bench.harness.film.canvas import INK, Mark, blank, draw_bar, draw_mark, fitted, font, wrapped
from vla_bench.harness.film.strip import Strip
from vla_bench.spec.outcomes import Outcome

__all__ = ["Panel"]

GAP = 6
MAX_LINES = 3
"""Lines that an instruction may take."""


class Panel:
    """Draws the frames of a strip. All panels of one film have one size."""

    def __init__(self, strip: Strip, *, title: str = "", is_small: bool = False) -> None:
        """Lay out.

        Args:
            strip: of a replay that has ended.
            title: first line, for example the name of the run; empty for task and trial.
            is_small: one line of caption, for grids.
        """
        self._strip, self._is_small = strip, is_small
        episode = strip.recording.episode
        self._name = f"{title}: {episode.task}" if title else episode.task
        again = f", repeat {episode.repeat}" if episode.repeat else ""
        self._trial = "" if is_small else f", trial {episode.trial}{again}"
        height, width = strip.size
        n_pictures = len(strip.frames[0].pictures)
        self._picture_height = height
        self.width = n_pictures * width + (n_pictures - 1) * GAP
        self._text = max(11, min(height // 18, 26)) if not is_small else max(10, height // 16)

    @property
    def last_step(self) -> int:
        """Of the strip."""
        return self._strip.frames[-1].step

    @cached_property
    def n_instruction_lines(self) -> int:
        """Lines that the longest instruction takes here; a film gives all its panels the most that any needs."""
        if self._is_small:
            return 0
        texts = {frame.instruction for frame in self._strip.frames}
        return max(len(wrapped(text, self._text, self.width - 2 * GAP, MAX_LINES)) for text in texts)

    def height(self, n_instruction_lines: int) -> int:
        """Pixels, with so many lines for the instruction."""
        line = self._line
        caption = line + GAP if self._is_small else (2 + n_instruction_lines) * line + 3 * GAP
        return self._picture_height + caption

    @property
    def _line(self) -> int:
        return round(1.35 * self._text)

    def draw(self, step: int, n_instruction_lines: int) -> Image.Image:
        """The panel as it stands at a step; after the episode's end, how it ended."""
        frame = self._strip.at(step)
        sheet = blank(self.width, self.height(n_instruction_lines))
        x = 0
        for image in frame.images():
            sheet.paste(image, (x, 0))
            x += image.width + GAP
        draw = ImageDraw.Draw(sheet)
        mark = Mark.of(self._outcome if step >= self.last_step else None)
        if mark.shape:
            edge = 2 if self._is_small else 4
            draw.rectangle((0, 0, self.width - 1, self._picture_height - 1), outline=mark.colour, width=edge)
        if self._is_small:
            self._draw_line(draw, mark)
        else:
            self._draw_caption(draw, frame.step, frame.stage, frame.instruction, mark, n_instruction_lines)
        return sheet

    @property
    def _outcome(self) -> Outcome | None:
        return self._strip.result.replayed if self._strip.result else None

    def _title(self, width: int) -> str:
        """Name and trial in so many pixels; of a long name the end is cut, never the trial."""
        room = width - round(font(self._text).getlength(self._trial))
        return fitted(self._name, self._text, room) + self._trial

    def _draw_line(self, draw: ImageDraw.ImageDraw, mark: Mark) -> None:
        y, side = self._picture_height + GAP // 2, self._line
        x = GAP
        if mark.shape:
            draw_mark(draw, mark, x, y, side - 2)
            x += side
        draw.text((x, y), self._title(self.width - x - GAP), fill=INK.text, font=font(self._text))

    def _draw_caption(
        self, draw: ImageDraw.ImageDraw, step: int, stage: int, instruction: str, mark: Mark, n_lines: int
    ) -> None:
        size, line, inner = self._text, self._line, self.width - 2 * GAP
        y = self._picture_height + GAP
        draw.text((GAP, y), self._title(inner), fill=INK.faint, font=font(size))
        y += line
        for text in wrapped(instruction, size, inner, MAX_LINES):
            draw.text((GAP, y), text, fill=INK.text, font=font(size))
            y += line
        y = self._picture_height + GAP + (1 + n_lines) * line
        task = self._strip.task
        limit = task.horizon
        words = f"step {step}/{limit}"
        if task.n_stages > 1:
            words += f"   subtask {min(stage + 1, task.n_stages)}/{task.n_stages}"
        draw.text((GAP, y), words, fill=INK.faint, font=font(size))
        if mark.shape:
            width = round(font(size).getlength(mark.word))
            draw.text((self.width - GAP - width, y), mark.word, fill=INK.text, font=font(size))
            draw_mark(draw, mark, self.width - GAP - width - line, y, size + 2)
        bottom = self.height(n_lines)
        colour = mark.colour if mark.shape else INK.running
        draw_bar(draw, (0, bottom - 6, self.width, bottom), step / limit, colour)
