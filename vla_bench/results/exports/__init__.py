"""Results as files for other programs: tables of episodes, and datasets of what was seen and done."""

from vla_bench.results.exports.tables import FORMATS, export_table

__all__ = ["FORMATS", "export_table"]
