"""Assets that no package brings: declared by a family, brought here by `vla-bench assets`, found by workers.

A family lists its `AssetSet`s in an attribute `assets`; `declared` says what a set is, `installing` brings it here,
`installed` knows what is here, `needs` refuses a run that lacks it.
"""
