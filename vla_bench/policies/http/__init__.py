"""The `act()` API over HTTP."""
