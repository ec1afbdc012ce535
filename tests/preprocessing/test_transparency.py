import numpy as np
import pytest
from PIL import Image, ImageDraw

from tinysight.classifier import Classifier
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.transparency import on_background

DIGITS = {  # points of a stroke, in a square of 320 pixels
    0: [(160, 60), (110, 95), (95, 160), (110, 225), (160, 260), (210, 225), (225, 160), (210, 95), (160, 60)],
    1: [(130, 100), (165, 65), (165, 255)],
    2: [(100, 110), (125, 75), (170, 65), (205, 95), (200, 135), (155, 190), (105, 250), (215, 250)],
    4: [(180, 255), (180, 65), (90, 190), (225, 190)],
    5: [(210, 65), (115, 65), (105, 150), (165, 140), (210, 180), (190, 240), (105, 250)],
    7: [(95, 70), (215, 70), (140, 255)],
}


@pytest.fixture(scope="module")
def pretrained():
    return Classifier.pretrained()


def drawn(digit, side, ink, paper, width=20):
    picture = Image.new("L", (320, 320), paper)
    ImageDraw.Draw(picture).line(DIGITS[digit], fill=ink, width=width, joint="curve")
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def with_alpha(grey, alpha):
    return Image.merge("LA", (grey, alpha))


def masks(side):
    """Yield name and alpha channel of pictures that are opaque but for their edge."""
    for edge, alpha in ((1, 188), (1, 0), (side // 20, 0), (side // 10, 0), (side // 10, 128)):
        mask = Image.new("L", (side, side), alpha)
        mask.paste(255, (edge, edge, side - edge, side - edge))
        yield f"edge of {edge} pixels, alpha {alpha}", mask
    for radius in (0.1, 0.3):
        mask = Image.new("L", (side, side))
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, side - 1, side - 1), radius * side, fill=255)
        yield f"rounded corners {radius}", mask
    mask = Image.new("L", (side, side), 255)
    mask.putpixel((0, 0), 0)
    yield "one clear pixel", mask
    for alpha in (128, 253):
        yield f"alpha {alpha} all over", Image.new("L", (side, side), alpha)


@pytest.mark.parametrize("side", [28, 64, 280])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0)])
def test_a_little_transparency_at_the_edge_changes_no_answer(pretrained, side, ink, paper):
    cases, pictures = [], []
    for digit in DIGITS:
        grey = drawn(digit, side, ink, paper)
        for about, mask in masks(side):
            cases.append((digit, about))
            pictures.append(with_alpha(grey, mask))
    predictions = zip(cases, pretrained.predict(pictures), strict=True)
    assert [case for case, one in predictions if one.class_name != str(case[0]) or one.is_rejected] == []


@pytest.mark.parametrize("side", [28, 64, 280])
@pytest.mark.parametrize("ink", [0, 255, 150])
def test_ink_on_a_clear_ground_is_read_as_on_an_opaque_one(pretrained, side, ink):
    for digit in DIGITS:
        alpha = drawn(digit, side, 255, 0)
        picture = with_alpha(Image.new("L", alpha.size, ink), alpha)
        for cropped in (picture, picture.crop(alpha.getbbox())):
            paper = Image.new("L", cropped.size, 255 if ink < 128 else 0)
            paper.paste(cropped.getchannel("L"), mask=cropped.getchannel("A"))
            clear, opaque = pretrained.predict([cropped, paper])
            assert (clear.class_name, clear.is_rejected) == (opaque.class_name, opaque.is_rejected), digit


def test_the_background_of_a_sheet_is_the_colour_of_its_edge():
    sheet = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    ImageDraw.Draw(sheet).rectangle((5, 5, 54, 34), fill=(200, 30, 40, 255))
    assert on_background(sheet).getpixel((0, 0)) == (255, 255, 255)  # nothing is drawn on it: it may be the drawing
    ImageDraw.Draw(sheet).line((20, 20, 40, 20), fill=(255, 255, 0, 255), width=3)
    flat = on_background(sheet)
    assert flat.mode == "RGB"
    assert flat.getpixel((0, 0)) == flat.getpixel((6, 6)) == (200, 30, 40)
    assert flat.getpixel((30, 20)) == (255, 255, 0)
    turned = sheet.rotate(15, expand=True, resample=Image.Resampling.NEAREST)
    assert on_background(turned).getpixel((0, 0)) == (200, 30, 40)


def test_a_sheet_that_is_clear_all_over_keeps_its_contrast():
    grey = drawn(2, 28, 255, 0)
    np.testing.assert_array_equal(read_picture(with_alpha(grey, Image.new("L", grey.size, 128))), grey)


def test_a_shape_with_shades_is_no_sheet():
    shades = np.zeros((90, 30, 4), np.uint8)
    shades[..., :3] = np.linspace(0, 120, 90).astype(np.uint8)[:, None, None]
    shades[10:80, 8:22, 3] = 255
    assert on_background(Image.fromarray(shades)).getpixel((0, 0)) == (255, 255, 255)


def test_what_is_not_visible_is_white():
    assert on_background(Image.new("RGBA", (3, 2), (9, 9, 9, 0))).getcolors() == [(6, (255, 255, 255))]
