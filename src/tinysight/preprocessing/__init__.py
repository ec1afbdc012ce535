"""Turns a picture into a classifier's input: decoded, then framed."""

FRAMINGS = ("whole", "ink")
DEFAULT_IMAGE_SIZE = (28, 28)
MAX_IMAGE_SIDE = 1_024
