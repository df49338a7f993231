"""How envs run: the worker process, its supervision, its interpreter and its render back end."""
