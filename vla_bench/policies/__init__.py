"""Policies: what answers `act()`, how it is served, and how it is reached."""
