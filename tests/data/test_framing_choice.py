import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tinysight.data import framing_choice, picture_loading
from tinysight.data.framing_choice import are_photographs, choose_framing
from tinysight.data.loading import load_images
from tinysight.preprocessing.drawings import is_drawing
from tinysight.preprocessing.framing import Framing

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def letters(number, side=64, ink=30, paper=230, width=5):
    """Draw random strokes, as of letters."""
    rng = np.random.default_rng(0)
    for _ in range(number):
        picture = Image.new("L", (side, side), paper)
        points = [tuple(point) for point in rng.uniform(0.2, 0.8, (4, 2)) * side]
        ImageDraw.Draw(picture).line(points, fill=ink, width=width, joint="curve")
        yield picture


def textures(number):
    rng = np.random.default_rng(0)
    for _ in range(number):
        noise = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
        yield noise.filter(ImageFilter.GaussianBlur(4))


def filled_shapes(number):
    rng = np.random.default_rng(0)
    for _ in range(number):
        picture = Image.new("L", (28, 28))
        left, top = rng.integers(2, 8, 2).tolist()
        ImageDraw.Draw(picture).rectangle((left, top, 28 - left, 28 - top), fill=int(rng.integers(90, 255)))
        yield picture


@pytest.mark.parametrize("looks", [{}, {"ink": 250, "paper": 20}, {"side": 28, "width": 3}, {"paper": 120}])
def test_drawn_characters_are_framed_by_their_ink(looks):
    assert choose_framing(letters(20, **looks)) == "ink"


def test_other_pictures_are_kept_whole():
    assert choose_framing(textures(20)) == "whole"
    assert choose_framing(filled_shapes(20)) == "whole"
    assert choose_framing([Image.new("L", (30, 30), 90)] * 5) == "whole"
    assert choose_framing([]) == "whole"


def in_colour(pictures, paper, ink):
    """Yield grey pictures with their darkest pixels in one colour and their lightest in another."""
    for picture in pictures:
        share = (np.asarray(picture, float)[..., None] - 30) / 200
        yield Image.fromarray((share * paper + (1 - share) * np.array(ink)).round().astype(np.uint8))


@pytest.mark.parametrize("side", [28, 64, 300])
@pytest.mark.parametrize(
    ("paper", "ink"), [((255, 255, 255), (200, 0, 0)), ((255, 245, 200), (0, 0, 220)), ((30, 70, 45), (255, 230, 120))]
)
def test_characters_may_be_drawn_with_any_one_colour_on_any_paper(side, paper, ink):
    found = []
    for picture in in_colour((letter.resize((side, side)) for letter in letters(20, side=96, width=8)), paper, ink):
        saved = io.BytesIO()
        picture.save(saved, "JPEG", quality=60)
        found.append(is_drawing(Image.open(saved)))
        assert found[-1] == is_drawing(Image.open(saved).convert("L"))
    assert any(found)


def test_drawings_in_several_colours_are_no_characters():
    pictures = list(in_colour(letters(20), (255, 255, 255), (20, 20, 20)))
    assert choose_framing(pictures) == "ink"
    for picture in pictures:
        ImageDraw.Draw(picture).ellipse((2, 2, 22, 22), fill=(255, 220, 40))  # too light to be ink
    assert choose_framing(picture.convert("L") for picture in pictures) == "ink"
    assert choose_framing(pictures) == "whole"


def test_a_few_other_pictures_among_characters_change_nothing():
    assert choose_framing([*letters(15), *textures(5)]) == "ink"


def test_an_example_folder_of_drawn_shapes_is_framed_by_its_ink_unless_told_otherwise():
    assert load_images(EXAMPLES / "shapes").framing.method == "ink"
    assert load_images(EXAMPLES / "shapes", framing="whole").framing.method == "whole"


def written(folder, name, pictures):
    (folder / name).mkdir(parents=True)
    for number, picture in enumerate(pictures):
        picture.save(folder / name / f"{number:02}.png")


def test_pictures_without_ink_are_left_out_and_counted(tmp_path):
    written(tmp_path / "set", "a", letters(8))
    written(tmp_path / "set", "b", [*letters(8, width=7), Image.new("L", (64, 64), 200), Image.new("L", (64, 64), 90)])
    images = load_images(tmp_path / "set")
    assert images.framing.method == "ink"
    assert len(images.indices("unused")) == 2
    (note,) = [line for line in images.skipped if "no ink found" in line]
    assert note.startswith("2 images left out: no ink found")
    assert note.endswith("the first is b/08.png")
    again = load_images(tmp_path / "set")  # from the cache
    assert (again.skipped, again.framing) == (images.skipped, images.framing)
    assert not len(
        load_images(tmp_path / "set", like=images.framing).indices("unused")
    )  # an evaluation leaves none out


def test_blank_test_pictures_are_kept_since_they_are_asked_about(tmp_path):
    for split in ("train", "test"):
        written(tmp_path / split, "a", [*letters(6), Image.new("L", (64, 64), 200)])
        written(tmp_path / split, "b", letters(6, width=8))
    images = load_images(tmp_path)
    assert [len(images.indices(split)) for split in ("train", "test", "unused")] == [12, 13, 1]
    assert sum("kept: no ink found" in line for line in images.skipped) == 1


@pytest.mark.slow
def test_mnist_is_framed_alike_however_it_is_given(data_folder, tmp_path):
    by_name = load_images("mnist")
    shutil.copytree(data_folder / "mnist", tmp_path / "idx")
    arrays = {}
    for split in ("train", "test"):
        some = by_name.subset(split)
        arrays |= {f"x_{split}": np.asarray(some.images)[:3_000], f"y_{split}": some.labels[:3_000]}
    np.savez(tmp_path / "mnist.npz", **arrays)
    for row in range(400):
        path = tmp_path / "png" / str(arrays["y_train"][row]) / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - arrays["x_train"][row]).save(path)
    for path in ("idx", "mnist.npz", "png"):
        assert load_images(tmp_path / path).framing.method == "ink"


def colours(number, size, is_grey=False):
    """Yield pictures of smooth colours, as files of photographs have them."""
    rng = np.random.default_rng(0)
    for _ in range(number):
        picture = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(size)
        yield picture.convert("L").convert("RGB") if is_grey else picture


@pytest.mark.parametrize(
    ("size", "is_grey", "expected"),
    [((64, 64), False, True), ((63, 200), False, False), ((320, 200), True, True), ((200, 63), True, False)],
)
def test_photographs_have_64_pixels_on_each_side(size, is_grey, expected):
    assert are_photographs(colours(5, size, is_grey)) == expected


def test_no_more_pictures_are_looked_at_than_are_needed():
    for pictures, expected in ((letters(200), "ink"), (textures(200), "whole")):
        assert choose_framing(pictures) == expected
        assert len(list(pictures)) == 175  # left
    clear_later = iter([*letters(20), *textures(5)] * 8)
    assert choose_framing(clear_later) == "ink"
    assert len(list(clear_later)) == 125  # after the second round
    mixed = iter([*letters(12), *textures(13)] * 8)
    assert choose_framing(mixed) == "whole"
    assert not list(mixed)


@pytest.mark.parametrize("number", [1, 24, 26, 76, 199, 200, 5_000])
def test_a_sample_is_spread_over_all_pictures_from_its_first_round_on(number):
    rounds = list(framing_choice._rounds(number))
    together = [row for rows in rounds for row in rows]
    assert len(together) == len(set(together)) == min(number, 200)
    assert all(rows == sorted(rows) for rows in rounds)
    assert (rounds[0][0], rounds[0][-1]) == (0, number - 1)
    assert np.diff([-1, *rounds[0], number]).max() <= number / 20 + 2


def test_classes_that_follow_one_another_are_all_looked_at(shapes_of):
    shape = shapes_of([*letters(40), *(texture.resize((64, 64)) for texture in textures(60))])
    assert shape() == (28, 28, 3)  # whole, in colour


def test_a_few_small_pictures_among_others_do_not_decide():
    small = [*colours(6, (20, 20))]
    assert are_photographs([*small, *colours(7, (200, 100))])
    assert not are_photographs([*small, *colours(6, (200, 100))])
    assert not are_photographs([])


@pytest.fixture
def shapes_of(tmp_path):
    """Save pictures as class folders; gives what returns the shape of their images, if they are loaded so."""

    def save(pictures):
        for number, picture in enumerate(pictures):
            (tmp_path / f"class{number % 2}").mkdir(exist_ok=True)
            picture.save(tmp_path / f"class{number % 2}" / f"{number}.png")
        return lambda **wanted: load_images(tmp_path, **wanted).images.shape[1:]

    return save


@pytest.mark.parametrize(("is_grey", "channels"), [(False, (3,)), (True, ())])
def test_photographs_keep_more_pixels_where_that_is_asked_for(shapes_of, is_grey, channels):
    shape = shapes_of(colours(8, (90, 70), is_grey))
    for _ in range(2):  # from the cache
        assert shape(photograph_size=(96, 80)) == (96, 80, *channels)
    assert shape() == (28, 28, *channels)
    assert shape(photograph_size=(96, 80)) == (96, 80, *channels)
    assert shape(image_size=(40, 30), photograph_size=(96, 80)) == (40, 30, *channels)
    assert shape(framing="ink", photograph_size=(96, 80)) == (28, 28)
    assert shape(like=Framing("whole", 20, 10, 3), photograph_size=(96, 80)) == (20, 10, 3)
    assert shape(channels=1, photograph_size=(96, 80)) == (96, 80)


def test_drawn_characters_are_no_photographs(shapes_of, monkeypatch):
    shape = shapes_of(letters(8, side=105))
    for _ in range(2):
        assert shape(photograph_size=(96, 80)) == (28, 28)
    monkeypatch.setattr(picture_loading, "decode_pictures", None)
    assert shape() == (28, 28)  # the same cached set
