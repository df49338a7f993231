"""A published number as a baseline: only with its episode count, because without one it has no uncertainty to test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import normalise_name

__all__ = ["PREFIX", "Published", "PublishedScore", "read_published"]

PREFIX = "published:"
_COUNTS = re.compile(r"([0-9]+)/([0-9]+)")
_RATE = re.compile(r"([0-9]*\.?[0-9]+)(%?)@([0-9]+)")
HOW = (
    "a published baseline is written published:483/500, published:96.6%@500 (the number with its episode count), or "
    "published:FILE.yaml"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedScore:
    """What was published of one suite.

    Attributes:
        n: episodes (chains).
        n_success: of them; for chains those that reached the last stage.
        reached: chains that reached at least stage 1, 2, …; empty for a suite without chains.
    """

    n: int
    n_success: int
    reached: tuple[int, ...] = ()

    @property
    def length_counts(self) -> dict[int, int]:
        """Chain length → chains."""
        steps = (self.n, *self.reached, 0)
        return {length: steps[length] - steps[length + 1] for length in range(len(self.reached) + 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A source with its scores.

    Attributes:
        source: as named.
        scores: suite → score; the empty name fits every suite.
        notes: what does not add up in it.
    """

    source: str
    scores: Mapping[str, PublishedScore]
    notes: tuple[str, ...] = ()

    def score_of(self, suite: str) -> PublishedScore:
        """The score of a suite.

        Raises:
            UsageError: the source has none.
        """
        for name, score in self.scores.items():
            if not name or normalise_name(name) == normalise_name(suite):
                return score
        raise UsageError(f"{self.source} has no number for {suite}; it has {', '.join(self.scores)}")


def read_published(text: str) -> Published:
    """Read `published:…`.

    Raises:
        UsageError: it is not of that form, has no episode count, or is impossible.
    """
    body = text.removeprefix(PREFIX).strip()
    if counts := _COUNTS.fullmatch(body):
        k, n = int(counts.group(1)), int(counts.group(2))
        return _single(body, _score(k / n if n else 2, n))
    if rate := _RATE.fullmatch(body.replace(" ", "")):
        value = float(rate.group(1)) / (100 if rate.group(2) else 1)
        return _single(body, _score(value, int(rate.group(3))))
    if body.endswith((".yaml", ".yml")):
        return _from_file(Path(body))
    raise UsageError(f"{HOW}, not {text!r}")


def _single(source: str, found: tuple[PublishedScore, str]) -> Published:
    return Published(source=f"published {source}", scores={"": found[0]}, notes=(found[1],) if found[1] else ())


def _score(rate: float, n: int) -> tuple[PublishedScore, str]:
    """The counts behind a rate, and a note where there are none that give it."""
    if n < 1 or not 0 <= rate <= 1:
        raise UsageError(f"{HOW}; a rate of {rate:g} of {n} episodes is none")
    k = round(rate * n)
    # A rate is printed with one decimal of a percent.
    is_possible = abs(k / n - rate) <= 0.000501
    note = "" if is_possible else f"{100 * rate:g} % cannot come from {n} episodes; {k} successes are taken"
    return PublishedScore(n=n, n_success=k), note


def _from_file(path: Path) -> Published:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    scores, notes = {}, []
    try:
        for suite, entry in content["suites"].items():
            scores[str(suite)], note = _entry(entry)
            notes += [f"{suite}: {note}"] if note else []
        source = str(content.get("source", path))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{path}: a published file has `source` and `suites`, each suite with `episodes` and either `rate` or `sr` "
            f"(rates of chains that reached stage 1, 2, …): {type(error).__name__}: {error}"
        ) from error
    return Published(source=source, scores=scores, notes=tuple(notes))


def _entry(entry: Mapping[str, Any]) -> tuple[PublishedScore, str]:
    n = int(entry["episodes"])
    if "sr" not in entry:
        return _score(float(entry["rate"]), n)
    rates = [float(rate) for rate in entry["sr"]]
    if not rates or sorted(rates, reverse=True) != rates:
        raise ValueError(f"rates of stages fall from one to the next, not {rates}")
    found = [_score(rate, n) for rate in rates]
    reached = tuple(score.n_success for score, _ in found)
    return PublishedScore(n=n, n_success=reached[-1], reached=reached), "; ".join(note for _, note in found if note)
