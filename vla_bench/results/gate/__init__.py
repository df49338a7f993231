"""The gate: may this policy land? Non-inferiority against a baseline, with three answers."""
