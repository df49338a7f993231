"""`metaworld_plus`: the ten tasks of MT10 under seven kinds of perturbation at five levels each.

`suite` describes it, `env` and `simulator` run it; importing this package imports no simulator.
"""
