"""The bundles of listed runs, for anybody: given by a board, taken by `vla-bench leaderboard fetch`."""
