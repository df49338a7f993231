"""The command line: one module per command, thin: parse, call, print. `main` finds them, `exit` ends them."""
