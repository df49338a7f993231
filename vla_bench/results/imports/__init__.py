"""Results of other harnesses, read as self-reported runs: counted by our rules, without traces, never verified."""

from vla_bench.results.imports.files import read_results
from vla_bench.results.imports.model import ImportedResult
from vla_bench.results.imports.writing import import_result

__all__ = ["ImportedResult", "import_result", "read_results"]
