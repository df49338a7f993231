"""Plots: one style for all of them, light and dark; forest plots and heat maps on it. Needs the extra `plots`."""
