"""Many small pictures with their names on one sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import file_name

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["contact_sheet", "save_each"]

GAP, LINE = 4, 16
"""Pixels between pictures, and of the line under each that names it."""


def contact_sheet(pictures: Sequence[tuple[str, NDArray[np.uint8]]], *, columns: int, width: int) -> Image:
    """Lay out pictures row by row, each above its name.

    Args:
        pictures: name and picture uint8 `[H, W, 3]`, at least one; one shape for all.
        columns: pictures side by side, at least 1.
        width: of each on the sheet, pixels; the height follows.
    """
    from PIL import Image, ImageDraw, ImageFont

    first = pictures[0][1]
    height = round(width * first.shape[0] / first.shape[1])
    columns = min(columns, len(pictures))
    n_rows = -(-len(pictures) // columns)
    size = (columns * (width + GAP) - GAP, n_rows * (height + LINE + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, (name, picture) in enumerate(pictures):
        row, column = divmod(index, columns)
        at = (column * (width + GAP), row * (height + LINE + GAP))
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), at)
        draw.text((at[0] + 2, at[1] + height + 1), _fitting(name, width - 4, font.getlength), "black", font=font)
    return sheet


def save_each(pictures: Sequence[tuple[str, NDArray[np.uint8]]], folder: Path, *, width: int) -> None:
    """Write every picture into a file of its own, `NAME.webp`; the folder is made where it is not there.

    Args:
        pictures: name and picture uint8 `[H, W, 3]`.
        folder: to write to.
        width: of a file, pixels, where the picture is wider; the height follows.

    Raises:
        UsageError: it cannot be written to.
    """
    from PIL import Image

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures:
            image = Image.fromarray(picture)
            image.thumbnail((width, image.height), Image.Resampling.LANCZOS)
            image.save(folder / f"{file_name(name)}.webp", quality=85, method=6)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to: {error.strerror or error}") from error


def _fitting(name: str, width: float, length: Callable[[str], float]) -> str:
    """The end of a name that is too long: variants of a task differ there."""
    text, kept = name, name
    while length(text) > width and kept:
        kept = kept[1:]
        text = f"…{kept}"
    return text
