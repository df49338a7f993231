"""Policies that come with vla-bench: floors, an oracle, and recorded actions."""
