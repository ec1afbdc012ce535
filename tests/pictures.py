"""Pictures that tests make: PNG files of every kind, photographs held in eight ways, and damaged files."""

import io
import random
import struct
import zlib
from itertools import product

import numpy as np
from PIL import ExifTags, Image

# Source: https://www.w3.org/TR/png-3/#6Colour-values and #8InterlaceMethods
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey with alpha, RGB with alpha
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))

# How pixels are stored so that turning them by each EXIF orientation makes them upright
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def png_files():
    """Return PNG files of every colour type, depth, interlacing and kind of transparency, in three sizes, by name.

    Each is dark on its left and light on its right, unless it is a single pixel; rows use all five filters.
    """
    files = {}
    for colour, size, is_interlaced, has_transparency in product(CHANNELS, ((1, 1), (5, 7), (33, 20)), (0, 1), (0, 1)):
        if has_transparency and colour in (4, 6):  # these have an alpha channel instead
            continue
        for depth in DEPTHS[colour]:
            name = f"colour{colour}-depth{depth}-{size[0]}x{size[1]}-interlaced{is_interlaced}-tRNS{has_transparency}"
            files[name] = _png(_ramp(*size, colour, depth), colour, depth, is_interlaced, has_transparency)
    return files


def _ramp(height, width, colour, depth):
    """Return samples ``(height, width, channels)`` from 0 to the largest, with an opaque alpha channel if any."""
    row = np.linspace(0, 2**depth - 1, width).astype(int)
    samples = np.repeat(np.tile(row, (height, 1))[:, :, None], CHANNELS[colour], axis=2)
    if colour in (4, 6):
        samples[:, :, -1] = 2**depth - 1
    return samples


def _png(samples, colour, depth, is_interlaced, has_transparency):
    height, width, channels = samples.shape
    passes = (
        [samples[row::rows, column::columns] for row, column, rows, columns in ADAM7] if is_interlaced else [samples]
    )
    data = b"".join(_filtered(part, depth, channels) for part in passes if part.size)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, is_interlaced))]
    if colour == 3:
        levels = np.linspace(0, 255, 2**depth).astype(np.uint8)
        chunks.append((b"PLTE", np.repeat(levels[:, None], 3, axis=1).tobytes()))
    if has_transparency:
        chunks.append((b"tRNS", b"\0" if colour == 3 else struct.pack(">H", 0) * channels))
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _filtered(samples, depth, channels):
    """Return the rows of one pass, each behind the number of its filter, the five filters in turn."""
    step = max(1, channels * depth // 8)
    before = None
    lines = []
    for number, row in enumerate(samples):
        line = _packed(row.ravel(), depth)
        above = np.zeros_like(line) if before is None else before
        left, corner = (np.concatenate([np.zeros(step, int), other])[: len(line)] for other in (line, above))
        guess = (0, left, above, (left + above) // 2, _paeth(left, above, corner))[number % 5]
        lines.append(bytes([number % 5]) + ((line - guess) % 256).astype(np.uint8).tobytes())
        before = line
    return b"".join(lines)


def _packed(samples, depth):
    """Return the bytes, as int, of samples of 1 to 16 bits."""
    if depth == 16:
        return np.frombuffer(samples.astype(">u2").tobytes(), np.uint8).astype(int)
    bits = (samples[:, None] >> np.arange(depth)[::-1]) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).astype(int)


def _paeth(left, above, corner):
    guess = left + above - corner
    distances = np.abs(guess - np.stack([left, above, corner]))
    return np.choose(distances.argmin(axis=0), [left, above, corner])


def write_photographs(folder):
    """Write two classes of eight colour photographs in JPEG, each held in another way, as EXIF orientation tells."""
    for class_name, size in (("Landscape", (60, 40)), ("Portrait", (40, 60))):
        (folder / class_name).mkdir(parents=True)
        upright = Image.linear_gradient("L").resize(size)
        upright = Image.merge("RGB", (upright, upright.transpose(Image.Transpose.ROTATE_180), upright))
        upright.paste((250, 20, 20), (3, 3, size[0] // 2, size[1] // 3))
        for orientation in range(1, 9):
            stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            stored.save(folder / class_name / f"{class_name}_{orientation}.jpg", exif=exif, quality=95)


def damaged_files():
    """Return picture files of each format, cut off, with bytes changed, or with an impossible size, by name."""
    rng = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    files = {"empty": b"", "text": b"no picture", "png-start": b"\x89PNG\r\n\x1a\n"}
    for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        noise.save(buffer, kind)
        whole = buffer.getvalue()
        for share in (0.02, 0.1, 0.5, 0.9, 0.99):
            files[f"{kind}-cut-at-{share}"] = whole[: int(share * len(whole))]
        for number in range(12):
            changed = bytearray(whole)
            for _ in range(1 + number // 3):  # most at the start, where sizes and offsets are
                changed[rng.randrange(min(len(whole), 64 if number % 2 else len(whole)))] = rng.randrange(256)
            files[f"{kind}-changed-{number}"] = bytes(changed)
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    files["PNG-huge"] = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0"))
    files["BMP-huge"] = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0)
    files["PPM-huge"] = b"P6 999999999 999999999 255\n"
    return files
