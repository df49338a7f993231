"""Tables for papers: rows of runs and groups with n, variant and seeds, as LaTeX, Markdown or CSV."""

from vla_bench.results.exports.papers.layouts import LAYOUTS, Table, lay_out
from vla_bench.results.exports.papers.render import RENDERERS, render
from vla_bench.results.exports.papers.scores import Score, find_scores

__all__ = ["LAYOUTS", "RENDERERS", "Score", "Table", "find_scores", "lay_out", "render"]
