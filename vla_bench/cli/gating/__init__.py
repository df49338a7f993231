"""What `vla-bench gate` does: on complete runs (`fixed`), or running them as it goes (`sequential`)."""
