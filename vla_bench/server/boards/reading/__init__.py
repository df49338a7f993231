"""The queries behind `vla_bench.server.boards.read`, one module a page; each holds its statements to an index."""
