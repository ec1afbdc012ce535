"""Damaged copies of a file."""

import numpy as np


def mutants(data, number, seed=0):
    """Yield damaged copies of a file: flipped bits, other bytes, cuts, copied and removed stretches."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            if not damaged:
                break
            place, length = rng.integers(len(damaged)), int(rng.geometric(0.1))
            kind = rng.integers(6)
            if kind == 0:
                damaged[place] ^= 1 << rng.integers(8)
            elif kind == 1:
                damaged[place] = rng.integers(256)
            elif kind == 2:
                damaged[place : place + length] = rng.bytes(length)
            elif kind == 3:
                del damaged[place : place + length]
            elif kind == 4:
                other = rng.integers(len(damaged))
                damaged[place:place] = damaged[other : other + length]
            else:
                del damaged[max(place, 8) :]
        yield bytes(damaged)
