"""`metaworld_plus`, `metaworld_plus_mt50`: the tasks of MT10 and MT50 under seven kinds of perturbation at five levels.

`suite` describes it, `env` and `simulator` run it; importing this package imports no simulator.
"""
