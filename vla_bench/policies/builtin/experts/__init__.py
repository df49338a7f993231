"""Scripted controllers, one module per suite family; see `vla_bench.policies.builtin.expert`."""
