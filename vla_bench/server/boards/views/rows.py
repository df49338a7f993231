"""A board and its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vla_bench.server.boards.marks import Mark, MarkFacts

__all__ = [
    "BoardHead",
    "BoardPage",
    "Cell",
    "Column",
    "Facet",
    "Filters",
    "Leader",
    "Note",
    "Row",
    "Saturation",
    "SettingChange",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of small numbers beside the score.

    Attributes:
        key: stable (`task:reach-v3`, `dimension:camera`, `stage:1`); names it in `sort`.
        title: as shown.
        kind: `task`, `group`, `stage` (chains of at least k subtasks) or `suite`.
    """

    key: str
    title: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One small number of a row, a rate.

    Attributes:
        key: of its column.
        value: None where it is not known; `text` says why.
        low, high: 95 % interval; None without episodes behind the number.
        k, n: successes of judged episodes; None where they are not known.
        text: as printed in a paper, or why there is no number; else empty.
    """

    key: str
    value: float | None
    low: float | None = None
    high: float | None = None
    k: int | None = None
    n: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A footnote of a row.

    Attributes:
        kind: `arithmetic` (the paper's own numbers disagree), `conflict` (papers disagree), `protocol`, `lost` (a value
            that the paper shows in a figure only), `reimplementation`, `import`, `flag`, `plausibility` (what a reader
            should look at; it decides nothing).
        text: one sentence or two.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """A setting that differs from the board's default: `replan_horizon`, 8 instead of the whole chunk."""

    name: str
    value: Any
    default: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """A row that may be the best of its board: its rank range begins at 1."""

    row_id: int
    policy: str
    version: str
    score: float | None
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """What difference a board can still see.

    Attributes:
        n: pairs that two complete runs have.
        resolvable: smallest difference from the leader that is found with 80 % power at 5 %, two-sided; a fraction, or
            subtasks. None where no run stands here.
        discordance: share of pairs with different outcomes that this rests on: the median between leaders and others,
            or the worst case at the leader's rate where there is one run only. None for chains.
        n_leaders: rows whose rank range begins at 1.
        room: what is left above the leader; None without one.
        is_saturated: more than three share rank 1, or the room is smaller than what can be resolved.
        text: the same in a sentence or two; empty where no run stands here.
    """

    n: int
    resolvable: float | None
    discordance: float | None
    n_leaders: int
    room: float | None
    is_saturated: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardHead:
    """A board without its rows.

    Attributes:
        id: of the database.
        slug: `suite/protocol/renderer-class/assets`, the permanent address.
        title: of the suite, one line.
        suite, protocol: names, the protocol as `standard/1`.
        renderer_class: `gpu`, `software`, `tiny` (PyBullet's own), `none` (nothing is rendered) or `mixed`.
        assets: `original` or `stand-in`.
        form: `rate` or `avg_length`.
        n_stages: subtasks of a chain; 1 for a rate.
        plan_hash: that runs must have; empty until one stands here.
        n_planned: episodes of that plan; 0 until then.
        version: grows with every change; the ETag of whatever shows this board.
        frozen: why nothing is added any more, empty while it is open.
        updated_at: of the last change.
        counts: mark → rows that are listed; `incomplete` and `gone` (retracted or withdrawn) beside them.
        leaders: of the strongest class of marks that has ranked rows, best first, at most ten.
        rank_class: that class: `verified`, `self-reported`, `published`, or empty without a ranked row.
        saturation: what difference it can still see.
    """

    id: int
    slug: str
    title: str
    suite: str
    protocol: str
    renderer_class: str
    assets: str
    form: str
    n_stages: int
    plan_hash: str
    n_planned: int
    version: int
    frozen: str
    updated_at: str
    counts: Mapping[str, int]
    leaders: tuple[Leader, ...]
    rank_class: str
    saturation: Saturation


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A run or a published figure on a board.

    Attributes:
        id: of the row, permanent; `/compare` and the API name rows by it.
        board: slug of its board.
        form: of its score, `rate` or `avg_length`.
        run_id, run: id and name; None and empty for a published figure.
        submission_id: empty where it came by no submission.
        published_key: of a published figure, else empty.
        state: `listed`, `incomplete`, `retracted` or `withdrawn`. The last two are tombstones, shown struck.
        state_reason: public reason of a tombstone.
        mark: with what it was computed from.
        rank_class: `verified`, `self-reported` or `published`: rows are ranked within one; empty where not ranked.
        unranked: why it has no rank; empty where it has one.
        rank_best, rank_worst: rank range, from 1; None without a rank.
        letters: rows of one class that share a letter cannot be told apart.
        family: which policies belong together over versions; names the policy page.
        policy, version, kind: as declared; `kind` is `policy` or `oracle`.
        weights_digest, policy_digest, eval_hash: identity; empty for a published figure.
        is_reimplementation: one of this project's own trainings of a published method.
        score, low, high: rate or average length with its 95 % interval on these tasks.
        bound_low, bound_high: where the score can lie while episodes are missing; None for a complete run.
        n_success, n_judged, n_planned: episodes; None where a paper does not say. For chains `n_success` counts whole
            ones.
        cells: one per column of the board, in their order.
        trained_on: as declared (`this suite`, `zero-shot`, …); `undeclared`.
        checkpoint_scope: `one`, `one per suite` or `undeclared`.
        parameters: number of weights; None where not declared.
        open_weights: None where not declared.
        n_runs: complete runs of this family on this board, tombstones included: the looks that the best is chosen from.
        date: of the run's end, or of entry for a published figure; empty where not known.
        harness: version of vla-bench that ran it; empty for a published figure.
        settings: what differs from the board's default settings.
        notes: footnotes.
        source: of a published figure `paper`, `table`, `line`, `method`, `role` (`own`, `baseline`, `variant`).
        efficiency: `policy_p50_ms`, `policy_p95_ms`, `n_queries`, `device`, `precision`, `batch`, … where known;
            on a run's page `bins` too, see `results.stats.bins`.
    """

    id: int
    board: str
    form: str
    run_id: int | None
    run: str
    submission_id: str
    published_key: str
    state: str
    state_reason: str
    mark: MarkFacts
    rank_class: str
    unranked: str
    rank_best: int | None
    rank_worst: int | None
    letters: str
    family: str
    policy: str
    version: str
    kind: str
    weights_digest: str
    policy_digest: str
    eval_hash: str
    is_reimplementation: bool
    score: float | None
    low: float | None
    high: float | None
    bound_low: float | None
    bound_high: float | None
    n_success: int | None
    n_judged: int | None
    n_planned: int | None
    cells: tuple[Cell, ...]
    trained_on: str
    checkpoint_scope: str
    parameters: int | None
    open_weights: bool | None
    n_runs: int
    date: str
    harness: str
    settings: tuple[SettingChange, ...]
    notes: tuple[Note, ...]
    source: Mapping[str, Any]
    efficiency: Mapping[str, Any]

    @property
    def rank(self) -> str:
        """`1`, `1–3`, or empty without a rank."""
        if self.rank_best is None or self.rank_worst is None:
            return ""
        return str(self.rank_best) if self.rank_best == self.rank_worst else f"{self.rank_best}–{self.rank_worst}"

    @property
    def is_gone(self) -> bool:
        """Whether it is a tombstone."""
        return self.state in ("retracted", "withdrawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which rows of a board are wanted. Empty fields let everything pass.

    Attributes:
        marks: any of `published`, `self-reported`, `replayed`, `re-run`.
        strongest: where no mark is asked for, `replayed` and above on a board that has such a row with a score, and
            every row on one that has none.
        trained_on, checkpoint_scope, family: equal to this.
        hardware: the device that the policy was served on, as declared.
        open_weights: only those with open weights.
        min_parameters, max_parameters: rows that declare none are left out.
        since, until: dates, `2026-11-01`, both inclusive.
        variants: ablations of papers too; without it only main rows are shown.
    """

    marks: tuple[str, ...] = ()
    strongest: bool = False
    trained_on: str = ""
    checkpoint_scope: str = ""
    family: str = ""
    hardware: str = ""
    open_weights: bool = False
    min_parameters: int | None = None
    max_parameters: int | None = None
    since: str = ""
    until: str = ""
    variants: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """A value that a filter can take, with how many rows of the whole board have it."""

    value: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPage:
    """A board with at most 50 of its rows.

    Attributes:
        head: of the board.
        columns: of the small numbers, in order.
        filters, sort, descending: as asked, with the marks that are shown. Sorts: `rank`, `policy`, `score`, `n`,
            `date`, `parameters`, `runs`, `mark`, or a column's key; rows without the value come last.
        rows: of this page.
        n_total: rows that pass the filters.
        n_board: rows of the board without any filter, ablations of papers left out.
        next_after: gives the next page; empty on the last one.
        axis: lowest and highest value of the whole selection, for one common axis; None without numbers.
        facets: filter name (`mark`, `trained_on`, `checkpoint_scope`, `family`, `hardware`) → values, most rows first;
            of hardware those that were declared.
        default_settings: what `Row.settings` is told against.
    """

    head: BoardHead
    columns: tuple[Column, ...]
    filters: Filters
    sort: str
    descending: bool
    rows: tuple[Row, ...]
    n_total: int
    n_board: int
    next_after: str
    axis: tuple[float, float] | None
    facets: Mapping[str, tuple[Facet, ...]]
    default_settings: Mapping[str, Any]
