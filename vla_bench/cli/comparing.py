"""What `compare` does with its arguments: open, compare, look into flips, draw, print."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vla_bench.cli.display.comparison import print_comparison
from vla_bench.cli.display.console import answer, print_json, story
from vla_bench.cli.reading import open_results
from vla_bench.results.comparison.flips import Flip, Traces, find_flips, with_traces
from vla_bench.results.comparison.page import comparison_page
from vla_bench.results.comparison.pairing import pair_runs, shared_episodes
from vla_bench.results.comparison.pictures import comparison_plot
from vla_bench.results.comparison.sides import Side, open_sides
from vla_bench.results.comparison.table import Comparison, Pairing, compare
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.outputs import write_output
from vla_bench.results.plots.style import save_plot
from vla_bench.results.store import Store
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import UsageError

__all__ = ["Question", "answer_comparison"]

ENDINGS = (".html", ".png", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The command line of `compare`; see its help."""

    arguments: tuple[str, ...]
    pairing: Pairing
    n_flips: int
    plot: str
    theme: str
    db: str
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Flips:
    """Flips of every policy against the reference, with the policy's name, and the traces that were read."""

    found: list[tuple[str, Flip]]
    traces: list[tuple[str, Traces]]


def answer_comparison(question: Question) -> None:
    """Print the comparison, and write the plot where one is asked for.

    Raises:
        UsageError: (a child) something in the question is wrong, or the plans differ.
        IncompleteRun: a run lacks episodes.
    """
    if question.plot and Path(question.plot).suffix.lower() not in ENDINGS:
        raise UsageError(f"--plot writes {', '.join(ENDINGS)}, not {question.plot!r}")
    with ExitStack() as stack:
        opened: list[Store] = []

        def open_store() -> Store:
            opened.append(stack.enter_context(open_results(question.db)))
            return opened[0]

        sides = open_sides(question.arguments, open_store)
        comparison = compare(sides, pairing=question.pairing)
        flips = _look_into_flips(sides, comparison, question, opened[0] if opened else None)
    if question.plot:
        _draw(comparison, flips, question)
    if question.as_json:
        rows = [{"policy": name, **to_plain(flip)} for name, flip in flips.found]
        print_json({**comparison.to_dict(), "flips": rows})
    else:
        print_comparison(comparison, flips.found, answer())
    if question.plot:
        story().print(f"drawn: {question.plot}", markup=False, soft_wrap=True)


def _look_into_flips(sides: Sequence[Side], comparison: Comparison, question: Question, store: Store | None) -> _Flips:
    """All flips; steps and parting points of the first `n_flips` of each policy and suite."""
    flips = _Flips([], [])
    if question.pairing is Pairing.UNPAIRED:
        return flips
    for table in comparison.suites:
        vectors = [side.by_suite[table.suite, table.protocol] for side in sides]
        if question.pairing is Pairing.INTERSECTION:
            vectors = shared_episodes(vectors)
        for side, vector in zip(sides[1:], vectors[1:], strict=True):
            _add_flips(flips, side.name, vector, vectors[0], question.n_flips, store)
    return flips


def _add_flips(flips: _Flips, name: str, new: RunVector, base: RunVector, n_wanted: int, store: Store | None) -> None:
    found = find_flips(pair_runs(new, base))
    n_detailed = len(found) if n_wanted < 0 else n_wanted
    from_file = (new.source != "run", base.source != "run")
    for flip, traces in with_traces(found[:n_detailed], store, new.name, base.name, from_file=from_file):
        flips.found.append((name, flip))
        if traces is not None:
            flips.traces.append((name, traces))
    flips.found.extend((name, flip) for flip in found[n_detailed:])


def _draw(comparison: Comparison, flips: _Flips, question: Question) -> None:
    path = Path(question.plot)
    if path.suffix.lower() == ".html":
        write_output(path, comparison_page(comparison, flips.found, flips.traces, theme=question.theme))
        return
    title = f"{', '.join(comparison.sides[1:])} against {comparison.sides[0]}"
    about = "Success rates and differences with 95 % intervals, and success rates by task."
    save_plot(comparison_plot(comparison), path, theme=question.theme, title=title, description=about)
