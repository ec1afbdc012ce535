"""Small files that unpack to large pictures, claim to, or take long to decode; of every format that is read."""

import io
import struct
import zlib

from PIL import Image

TALL, LARGE, HUGE = (1, 64_000_000), (8_000, 8_000), (65_000, 65_000)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size, bits, colour_type, between=b"", interlaced=0):
    """Return a PNG file of black pixels, compressed without their being in memory."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    compressor, left = zlib.compressobj(9), size[1] * (1 + -(-size[0] * bits * channels // 8))
    parts = []
    while left > 0:
        parts.append(compressor.compress(bytes(min(left, 2**20))))
        left -= 2**20
    header = struct.pack(">IIBBBBB", *size, bits, colour_type, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(3)) if colour_type == 3 else b""
    rows = b"".join([*parts, compressor.flush()])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + between + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gif(size):
    """Return a GIF file that claims a size, with one byte of pixels."""
    start = b"GIF89a" + struct.pack("<HH", *size) + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0"
    return start + struct.pack("<HH", *size) + b"\0\2\1\0;"


def bmp(size, bits, compression, data=b""):
    """Return a BMP file that claims a size, with the data given."""
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, compression, len(data), 0, 0, 0, 0)
    palette = bytes(4 * 2**bits) if bits <= 8 else b""
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def tiff(size, bits, strip, compression, samples=1):
    """Return a TIFF file of one strip."""
    entries = [
        (256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, size[1]), (279, 4, 1, len(strip)),
    ]  # fmt: skip
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(entries)) + listed + bytes(4)


def scans(data, number):
    """Repeat the last scan of a progressive JPEG file."""
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * number + b"\xff\xd9"


def animation(kind, number, size, **options):
    frames = [Image.new("L", size, level) for level in range(number)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def png_bombs():
    yield "tall RGBA of 16 bits", png(TALL, 16, 6)
    yield "wide RGBA of 16 bits", png(TALL[::-1], 16, 6)
    yield "large RGBA of 16 bits", png(LARGE, 16, 6)
    yield "tall grey", png(TALL, 8, 0)
    yield "large grey", png(LARGE, 8, 0)
    yield "large grey of 16 bits", png(LARGE, 16, 0)
    yield "large, one bit", png(LARGE, 1, 0)
    yield "large with a palette", png(LARGE, 8, 3)
    yield "large grey with alpha", png(LARGE, 8, 4)
    yield "long grey", png((32_768, 1_953), 8, 0)
    yield "long RGB of 16 bits", png((1_953, 32_768), 16, 2)
    yield "huge, one bit", png(HUGE, 1, 0)
    yield "large, interlaced, with few data", png((16, 16), 8, 0)[:16] + struct.pack(">II", *LARGE)
    yield (
        "liar",
        b"".join([png((28, 28), 8, 0)[:16], struct.pack(">II", 2**31 - 1, 2**31 - 1), png((28, 28), 8, 0)[24:]]),
    )
    packed = zlib.compress(bytes(100_000_000), 9)
    yield "compressed text", png((28, 28), 8, 0, chunk(b"zTXt", b"Comment\0\0" + packed))
    yield "compressed profile", png((28, 28), 8, 0, chunk(b"iCCP", b"x\0\0" + packed))
    yield "many chunks", png((28, 28), 8, 0, chunk(b"abCd", b"") * 700_000)
    yield "long animation", animation("PNG", 200, (1_000, 1_000))


def other_bombs():
    yield "GIF: claims 65,535²", gif((65_535, 65_535))
    yield "GIF: claims 8,000²", gif(LARGE)
    yield "GIF: animation", animation("GIF", 100, (1_000, 1_000))
    yield "GIF: large", saved(Image.new("P", LARGE), "GIF")
    yield "WebP: 4,000²", saved(Image.new("RGB", (4_000, 4_000)), "WEBP", lossless=True)
    yield "WebP: 8,000²", saved(Image.new("RGB", LARGE), "WEBP", lossless=True, method=0)
    yield "WebP: animation", animation("WEBP", 50, (1_000, 1_000), lossless=True)
    yield "JPEG: large", saved(Image.new("RGB", LARGE), "JPEG")
    yield "JPEG: large CMYK", saved(Image.new("CMYK", LARGE), "JPEG")
    yield "JPEG: large, progressive", saved(Image.new("L", LARGE), "JPEG", progressive=True)
    yield "JPEG: 5,000 scans", scans(saved(Image.new("L", (2_000, 2_000)), "JPEG", progressive=True), 5_000)
    yield "JPEG: long", saved(Image.new("L", (65_000, 900)), "JPEG")
    deflated = zlib.compress(bytes(64_000_000), 9)
    yield "TIFF: large, deflated", tiff(LARGE, 8, deflated, 8)
    yield "TIFF: tall, deflated", tiff(TALL, 8, deflated, 8)
    yield "TIFF: claims 65,000²", tiff(HUGE, 8, b"\x80", 32_773)
    yield "TIFF: large, packed bits", tiff(LARGE, 8, b"\x81\0" * 500_000, 32_773)
    yield "TIFF: large, 32 bits", tiff(LARGE, 32, zlib.compress(bytes(256_000_000), 9), 8)
    yield "TIFF: many pages", animation("TIFF", 200, (200, 200))
    yield "TIFF: claims much raw", tiff(LARGE, 8, b"", 1)
    yield "BMP: claims 8,000², RLE", bmp(LARGE, 8, 1, b"\0\1")
    yield "BMP: RLE of one colour", bmp(LARGE, 8, 1, b"\xff\0" * 250_000 + b"\0\1")
    yield "BMP: claims 65,000², one bit", bmp(HUGE, 1, 0)
    yield "BMP: claims 8,000², raw", bmp(LARGE, 24, 0)
    yield "PPM: claims 8,000², text", b"P1 8000 8000 " + b"1 " * 1_000_000
    yield "PPM: tall, raw", b"P5 1 64000000 255\n"
    yield "PPM: large, of 65,535 levels", b"P2 8000 8000 65535\n" + b"65535 " * 1_000_000


def picture_bombs():
    """Yield names and contents."""
    yield from ((f"PNG: {name}", content) for name, content in png_bombs())
    yield from other_bombs()
