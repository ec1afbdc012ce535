import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from samples import as_png

from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError, OutputError, PictureError, SettingsError, TinysightError
from tinysight.onnx_file import MeasuredAccuracy
from tinysight.preprocessing.framing import Framing


@pytest.fixture(scope="module")
def images_for_testing(trained):
    return trained.images.subset("test").images


def test_probabilities_sum_to_one(classifier, images_for_testing):
    probabilities = classifier.probabilities(images_for_testing)
    assert probabilities.shape == (len(images_for_testing), 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_number_of_images_at_a_time_makes_no_difference(classifier, images_for_testing, monkeypatch):
    expected = classifier.probabilities(images_for_testing)
    monkeypatch.setattr("tinysight.classifier.BATCH_SIZE", 7)
    np.testing.assert_allclose(classifier.probabilities(images_for_testing), expected, atol=1e-6)


def test_paths_bytes_and_arrays_are_predicted_alike(classifier, images_for_testing, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(as_png(images_for_testing[0]))
    predictions = classifier.predict([path, str(path), path.read_bytes(), images_for_testing[0]], top=3)
    assert {prediction.ranking for prediction in predictions} == {predictions[0].ranking}
    assert [prediction.source for prediction in predictions] == [str(path), str(path), "bytes", "array"]
    assert predictions[0].note == ""


def test_each_kind_of_input_is_predicted_alike(classifier, images_for_testing, tmp_path):
    image = images_for_testing[0]
    path = tmp_path / "digit.png"
    path.write_bytes(as_png(image))
    with path.open("rb") as file, Image.open(path) as opened:
        given = {
            "bytearray": (bytearray(path.read_bytes()), "bytes"),
            "BytesIO": (io.BytesIO(path.read_bytes()), "file"),
            "file": (file, str(path)),
            "Pillow image": (Image.fromarray(image), "image"),
            "opened": (opened, str(path)),
            "one channel": (image[..., None], "array"),
            "four channels": (np.dstack([image, image, image, np.full_like(image, 255)]), "array"),
        }
        expected = classifier.predict(image)[0].ranking
        for about, (picture, source) in given.items():
            for several in (picture, [picture], iter([picture])):
                (prediction,) = classifier.predict(several)
                assert (prediction.source, prediction.ranking) == (source, expected), about
        several = [picture for picture, _ in given.values()]
        assert [one.source for one in classifier.predict(several)] == [source for _, source in given.values()]
    assert len(classifier.predict(images_for_testing[:9, ..., None])) == 9


@pytest.mark.parametrize("several", [[255], [[0, 1]], iter([7]), bytearray(b"ab"), [b"no picture"], 255, None, {1: 2}])
def test_what_is_no_picture_is_named_by_its_place(classifier, several):
    with pytest.raises(PictureError) as caught:
        classifier.predict(several)
    assert str(caught.value).startswith(("picture 1: got ", "picture 1: not a picture", "got "))
    assert "; expected " in str(caught.value)


def test_a_bad_picture_among_several_is_named_by_its_place(classifier, images_for_testing):
    with pytest.raises(PictureError, match=r"^picture 3: got an array float64 \(28, 28\)"):
        classifier.predict([images_for_testing[0], images_for_testing[1], images_for_testing[2] / 255])


@pytest.mark.parametrize("top", [0, -1, 1.0, True, "1", None])
def test_the_number_of_classes_is_checked(classifier, images_for_testing, top):
    with pytest.raises(SettingsError, match="expected a whole number from 1"):
        classifier.predict(images_for_testing[0], top=top)
    with pytest.raises(SettingsError, match="expected a whole number from 1"):
        classifier.predict_framed(["a"], [classifier.frame(images_for_testing[0])], top)


def test_the_number_of_classes_may_be_of_numpy(classifier, images_for_testing):
    assert len(classifier.predict(images_for_testing[0], np.int64(2))[0].ranking) == 2


def test_one_picture_may_be_given_alone(classifier, images_for_testing):
    (prediction,) = classifier.predict(images_for_testing[0])
    assert prediction.class_name == prediction.ranking[0][0]
    assert classifier.predict(as_png(images_for_testing[0]))[0].class_name == prediction.class_name
    assert classifier.predict([]) == []


def test_the_ranking_falls(classifier, images_for_testing):
    (prediction,) = classifier.predict([images_for_testing[3]], top=99)
    shares = [share for _, share in prediction.ranking]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_pictures_are_framed_as_they_are_needed(classifier, images_for_testing, monkeypatch):
    expected = [prediction.ranking for prediction in classifier.predict(images_for_testing[:20])]
    monkeypatch.setattr("tinysight.classifier.BATCH_SIZE", 8)
    read = []
    num_read_at_each_run = []
    run = classifier.probabilities
    monkeypatch.setattr(classifier, "probabilities", lambda *_: num_read_at_each_run.append(len(read)) or run(*_))
    predictions = classifier.predict(read.append(number) or images_for_testing[number] for number in range(20))
    assert [prediction.ranking for prediction in predictions] == expected
    assert num_read_at_each_run == [8, 16, 20]


def test_a_picture_of_another_size_is_framed_with_a_note(classifier, images_for_testing):
    large = np.asarray(Image.fromarray(255 - images_for_testing[0]).resize((300, 300), Image.Resampling.BICUBIC))
    (prediction,) = classifier.predict([large])
    assert prediction.note == "framed from 300×300 grey"
    assert prediction.class_name == classifier.predict([images_for_testing[0]])[0].class_name


def test_a_picture_that_cannot_be_read_is_named(classifier):
    with pytest.raises(PictureError, match=r"missing\.png"):
        classifier.predict(["missing.png"])


def test_images_of_another_shape_are_refused(classifier):
    with pytest.raises(TinysightError, match="expected uint8"):
        classifier.probabilities(np.zeros((2, 28, 27), np.uint8))


def test_a_saved_classifier_is_the_same(classifier, images_for_testing, tmp_path):
    classifier.save(tmp_path / "copy.onnx")
    copy = Classifier.load(tmp_path / "copy.onnx")
    assert copy.metadata == classifier.metadata
    np.testing.assert_array_equal(copy.metadata.training_hashes, classifier.metadata.training_hashes)
    np.testing.assert_array_equal(
        copy.probabilities(images_for_testing[:9]), classifier.probabilities(images_for_testing[:9])
    )


def test_saving_where_nothing_can_be_written_leaves_nothing(classifier, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        classifier.save(tmp_path / "file" / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_metadata_is_changed_around_the_same_graph(classifier, images_for_testing):
    changed = classifier.with_metadata(reject_below=0.125)
    assert changed.metadata == replace(classifier.metadata, reject_below=0.125)
    assert changed.reject_below == 0.125
    assert classifier.reject_below != 0.125
    again = Classifier(changed.file_bytes)
    assert again.metadata.to_properties() == changed.metadata.to_properties()
    images = images_for_testing[:9]
    np.testing.assert_array_equal(changed.probabilities(images), classifier.probabilities(images))
    np.testing.assert_array_equal(again.probabilities(images), classifier.probabilities(images))


def test_other_metadata_opens_no_other_session(classifier, monkeypatch):
    """A session takes as long to open as hundreds of images take to be classified."""
    monkeypatch.setattr("tinysight.classifier.open_session", pytest.fail)
    classifier.with_metadata(test=MeasuredAccuracy(10, 0.5))


@pytest.mark.parametrize(
    "changes", [{"framing": Framing(height=27)}, {"class_names": ("a", "b")}, {"reject_below": 1.5}, {"settings": 5}]
)
def test_metadata_that_does_not_fit_the_network_is_refused(classifier, changes):
    with pytest.raises(ModelFileError):
        classifier.with_metadata(**changes)


def test_a_prediction_is_what_json_can_hold(classifier, images_for_testing):
    (prediction,) = classifier.predict(images_for_testing[0], top=2)
    stored = json.loads(json.dumps(prediction.to_dict()))
    assert list(stored) == ["source", "class_name", "probability", "ranking", "is_rejected", "note"]
    assert (stored["class_name"], stored["probability"]) == prediction.ranking[0]
    assert [(one["class_name"], one["probability"]) for one in stored["ranking"]] == [*prediction.ranking]
