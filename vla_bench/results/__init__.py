"""Results: SQL tables, the store that writes them, traces, statistics and summaries."""
