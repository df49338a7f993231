"""Every table as CSV, JSON, LaTeX and Markdown, citations and badges; the whole board as files that outlive it."""

from vla_bench.server.exports.routes import router

__all__ = ["router"]
