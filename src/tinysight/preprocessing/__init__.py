"""A picture becomes a classifier's input."""
