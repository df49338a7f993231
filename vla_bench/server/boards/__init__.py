"""Boards: which one a run belongs to, what entering it changes, and what pages and API read of it.

`views` are what is read, `read` reads it, `enter` lists a run and `change` makes tombstones and marks.
"""
