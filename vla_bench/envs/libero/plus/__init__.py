"""LIBERO-Plus: 10,030 variants of the 40 LIBERO tasks along seven dimensions, as upstream published them.

`names` and `table` know the tasks, `suites` describes them, the other modules apply the perturbations. Nothing here
imports a simulator before an env is made.
"""
