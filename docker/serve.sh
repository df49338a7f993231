#!/bin/sh
# Serve the policy that VLA_BENCH_POLICY names (a registered name, FILE.yaml, MODULE:CLASS) on port 8600; arguments
# (-o key=value, --port, --host, …) go to `vla-bench serve`. A token is asked for where VLA_BENCH_TOKEN is set.
set -eu
if [ -n "${VLA_BENCH_TOKEN:-}" ]; then set -- --token-env VLA_BENCH_TOKEN "$@"; fi
exec vla-bench serve "${VLA_BENCH_POLICY:?name a policy}" --host 0.0.0.0 --port 8600 "$@"
