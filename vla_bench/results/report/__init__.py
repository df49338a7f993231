"""A report of one or more runs: one HTML page that stands alone, or Markdown."""

from vla_bench.results.report.gather import gather_report
from vla_bench.results.report.model import Report, Still
from vla_bench.results.report.render import report_html, report_markdown

__all__ = ["Report", "Still", "gather_report", "report_html", "report_markdown"]
