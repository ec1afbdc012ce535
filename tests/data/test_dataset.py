from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.dataset import RowSources, SelectedSources
from tinysight.data.loading import load_images


def test_a_split_holds_its_rows(class_folders):
    images = load_images(class_folders)
    images.split[::2] = 2
    subset = images.subset("test")
    assert len(subset) == 10
    np.testing.assert_array_equal(subset.images, images.images[::2])
    assert list(subset.sources) == list(images.sources)[::2]


def test_rows_of_files_are_named_by_file_and_row():
    sources = RowSources([("a", 2), ("b", 0), ("c", 1)])
    assert list(sources) == ["a[0]", "a[1]", "c[0]"]
    assert [sources[row] for row in (0, 1, 2, -1)] == ["a[0]", "a[1]", "c[0]", "c[0]"]
    with pytest.raises(IndexError):
        sources[3]
    assert list(SelectedSources(sources, np.array([0, 2]))) == ["a[0]", "c[0]"]


def test_the_data_hash_depends_on_pixels_labels_and_names(class_folders):
    images = load_images(class_folders)
    assert images.rows(np.arange(20)).data_hash == images.data_hash
    assert images.rows(np.arange(19)).data_hash != images.data_hash
    (class_folders / "dark").rename(class_folders / "dim")
    renamed = load_images(class_folders)
    np.testing.assert_array_equal(renamed.images, images.images)
    assert renamed.data_hash != images.data_hash


@pytest.mark.parametrize("chosen", [[2, 0, 1], [0, 0, 2], [-2, -1], [18, 20]])
def test_rows_that_do_not_rise_are_refused(class_folders, chosen):
    with pytest.raises(ValueError, match="expected rising positions"):
        load_images(class_folders).rows(np.array(chosen))


def test_rows_keep_their_groups(class_folders):
    images = replace(load_images(class_folders), groups=np.arange(20) // 2)
    np.testing.assert_array_equal(images.rows(np.array([1, 2, 7])).groups, [0, 1, 3])
    assert images.data_hash == replace(images, groups=None).data_hash
