"""The leaderboard service: the room between the command line and the harness."""
