"""Programs that try something dangerous in a process of their own and print one line of JSON; what is made of it."""
