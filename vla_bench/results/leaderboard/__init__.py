"""The leaderboard's tables: they join the one metadata and the one history of the results. No logic lives here."""
