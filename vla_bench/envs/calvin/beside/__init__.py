"""Steps a user's own checkout of calvin_env beside our environment and looks for the first difference.

No line of upstream's is in this project: the checkout runs in a child process (`theirs.py`), a fresh one per chain as
our starts mean it, and hands back arrays.
"""

from vla_bench.envs.calvin.beside.comparison import Comparison, Difference, compare_with_checkout

__all__ = ["Comparison", "Difference", "compare_with_checkout"]
