import io
import json

import numpy as np
import pytest
from PIL import Image

from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError, OutputError, PictureError, TinysightError


@pytest.fixture(scope="module")
def test_images(trained):
    return trained.images.subset("test").images


def as_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_probabilities_sum_to_one(classifier, test_images):
    probabilities = classifier.probabilities(test_images)
    assert probabilities.shape == (len(test_images), 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_number_of_images_at_a_time_makes_no_difference(classifier, test_images, monkeypatch):
    expected = classifier.probabilities(test_images)
    monkeypatch.setattr("tinysight.classifier.BATCH_SIZE", 7)
    np.testing.assert_allclose(classifier.probabilities(test_images), expected, atol=1e-6)


def test_paths_bytes_and_arrays_are_predicted_alike(classifier, test_images, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(as_png(test_images[0]))
    predictions = classifier.predict([path, str(path), path.read_bytes(), test_images[0]], top=3)
    assert {prediction.ranking for prediction in predictions} == {predictions[0].ranking}
    assert [prediction.source for prediction in predictions] == [str(path), str(path), "bytes", "array"]
    assert predictions[0].note == ""


def test_one_picture_may_be_given_alone(classifier, test_images):
    (prediction,) = classifier.predict(test_images[0])
    assert prediction.class_name == prediction.ranking[0][0]
    assert classifier.predict(as_png(test_images[0]))[0].class_name == prediction.class_name
    assert classifier.predict([]) == []


def test_the_ranking_falls(classifier, test_images):
    (prediction,) = classifier.predict([test_images[3]], top=99)
    shares = [share for _, share in prediction.ranking]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_pictures_are_framed_as_they_are_needed(classifier, test_images, monkeypatch):
    expected = [prediction.ranking for prediction in classifier.predict(test_images[:20])]
    monkeypatch.setattr("tinysight.classifier.BATCH_SIZE", 8)
    read = []
    num_read_at_each_run = []
    run = classifier.probabilities
    monkeypatch.setattr(classifier, "probabilities", lambda *_: num_read_at_each_run.append(len(read)) or run(*_))
    predictions = classifier.predict(read.append(number) or test_images[number] for number in range(20))
    assert [prediction.ranking for prediction in predictions] == expected
    assert num_read_at_each_run == [8, 16, 20]


def test_a_picture_of_another_size_is_framed_with_a_note(classifier, test_images):
    large = np.asarray(Image.fromarray(255 - test_images[0]).resize((300, 300), Image.Resampling.BICUBIC))
    (prediction,) = classifier.predict([large])
    assert prediction.note == "framed from 300×300 grey"
    assert prediction.class_name == classifier.predict([test_images[0]])[0].class_name


def test_a_picture_that_cannot_be_read_is_named(classifier):
    with pytest.raises(PictureError, match=r"missing\.png"):
        classifier.predict(["missing.png"])


def test_images_of_another_shape_are_refused(classifier):
    with pytest.raises(TinysightError, match="expected uint8"):
        classifier.probabilities(np.zeros((2, 28, 27), np.uint8))


def test_a_saved_classifier_is_the_same(classifier, test_images, tmp_path):
    classifier.save(tmp_path / "copy.onnx")
    copy = Classifier.load(tmp_path / "copy.onnx")
    assert copy.metadata == classifier.metadata
    np.testing.assert_array_equal(copy.probabilities(test_images[:9]), classifier.probabilities(test_images[:9]))


def test_saving_where_nothing_can_be_written_leaves_nothing(classifier, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        classifier.save(tmp_path / "file" / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_metadata_is_added_around_the_same_graph(classifier, test_images):
    more = classifier.with_metadata(colour="blue")
    assert more.metadata == {**classifier.metadata, "colour": "blue"}
    np.testing.assert_array_equal(more.probabilities(test_images[:9]), classifier.probabilities(test_images[:9]))


def test_a_damaged_framing_is_refused(classifier):
    with pytest.raises(ModelFileError, match="framing"):
        classifier.with_metadata(framing={**classifier.metadata["framing"], "method": "half"})


def test_a_prediction_is_what_json_can_hold(classifier, test_images):
    (prediction,) = classifier.predict(test_images[0], top=2)
    stored = json.loads(json.dumps(prediction.to_dict()))
    assert list(stored) == ["source", "class_name", "probability", "ranking", "is_rejected", "note"]
    assert (stored["class_name"], stored["probability"]) == prediction.ranking[0]
    assert [(one["class_name"], one["probability"]) for one in stored["ranking"]] == [*prediction.ranking]
