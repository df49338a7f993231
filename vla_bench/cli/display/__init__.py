"""How the command line looks: consoles, progress, tables and bars. Nothing here runs or decides anything."""
