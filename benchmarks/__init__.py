"""Measurements against other ways to do the same; each prints ratios of what was measured in one run."""
