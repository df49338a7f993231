"""Films and stills of recorded episodes: pictures are made afterwards, by replay, at any size."""

from vla_bench.harness.film.make import Film, FilmStyle, Reel, make_films

__all__ = ["Film", "FilmStyle", "Reel", "make_films"]
