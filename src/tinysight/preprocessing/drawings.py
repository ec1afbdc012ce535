"""Tells drawn characters from other pictures."""

import numpy as np
from numpy.typing import NDArray

from .components import stroke_width
from .ink import MIN_PIXELS, box_of, find_ink

# Chosen on Omniglot's letters, canvas digits, scikit-learn's digits in three sizes (58 % to 97 % are drawings by these
# limits), web pictures and Fashion-MNIST (17 % and 36 %).
MAX_STROKE = 0.22  # of the character's longer side; broader is a filled shape
SOFT_EDGES = 0.5  # pixels by which soft edges make strokes of small pictures broader
MIN_CONTRAST = 40.0  # grey levels between ink and background
MAX_UNEVEN = 0.2  # of that contrast: how far the background departs from a smooth surface (root mean square)
MAX_INK_SPREAD = 0.3  # of that contrast: standard deviation of the ink
MAX_OTHER_INK = 0.05  # of the ink: what is not of the character


def is_drawing(grey: NDArray[np.uint8]) -> bool:
    """Tell whether a picture shows one character of strokes on an even background.

    Args:
        grey: uint8 ``(rows, columns)``.
    """
    ink = find_ink(grey)
    if ink.mask.sum() < MIN_PIXELS or ink.is_several:
        return False
    is_inked = ink.levels > ink.threshold
    contrast = float(np.median(ink.levels[ink.mask]))
    longer_side = max(ink.mask[box_of(ink.mask)].shape)
    background = ink.levels[~is_inked]
    return bool(
        contrast > MIN_CONTRAST
        and stroke_width(ink.mask) - SOFT_EDGES < MAX_STROKE * longer_side
        and np.sqrt(np.mean(background**2)) < MAX_UNEVEN * contrast
        and ink.levels[ink.mask].std() < MAX_INK_SPREAD * contrast
        and (is_inked & ~ink.character).sum() < MAX_OTHER_INK * is_inked.sum()
    )
