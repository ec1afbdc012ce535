"""The JSON that is written fits the schemas in docs/, which document each of its fields."""

import json
from pathlib import Path

import numpy as np
import pytest
from chosen_answers import classifier_of_answers, images_of_answers

from tinysight.comparison import compare
from tinysight.evaluation import evaluate

jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="jsonschema-rs is not installed; see the extra dev")
DOCS = Path(__file__).parents[1] / "docs"
OPTIONAL = ["model_sha256"]  # only in a run's folder
SCHEMAS = {name: json.loads((DOCS / f"{name}.schema.json").read_bytes()) for name in ("evaluation", "comparison")}


def check(name, value):
    validator = jsonschema_rs.Draft202012Validator(SCHEMAS[name])
    assert [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)] == []


def written(result):
    return json.loads(json.dumps(result.to_dict(), allow_nan=False))


def objects_in(schema):
    """Return each part of a schema that describes a JSON object."""
    if isinstance(schema, dict):
        found = [schema] if schema.get("type") == "object" else []
        return found + [one for part in schema.values() for one in objects_in(part)]
    return [one for part in schema for one in objects_in(part)] if isinstance(schema, list) else []


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_valid_and_describe_every_field(name):
    jsonschema_rs.meta.validate(SCHEMAS[name])
    parts = objects_in(SCHEMAS[name])
    assert len(parts) > 2
    for part in parts:
        assert part["required"] == [name for name in part["properties"] if name not in OPTIONAL]
        assert part["additionalProperties"] is False
        assert all(value.get("description") or "$ref" in value for value in part["properties"].values())


def test_an_evaluation_fits_its_schema(trained):
    images = trained.images.subset("test")
    evaluation = written(evaluate(trained.classifier.with_metadata(temperature=1.25), images, outside=images))
    check("evaluation", evaluation)
    assert list(evaluation) == SCHEMAS["evaluation"]["required"]
    assert evaluation["outside"]
    assert evaluation["calibration_unscaled"]


def test_the_evaluation_of_a_run_fits_its_schema(run_folder):
    check("evaluation", json.loads((run_folder / "evaluation.json").read_bytes()))


def test_an_evaluation_of_many_classes_fits_its_schema():
    labels = np.arange(260)
    evaluation = written(evaluate(classifier_of_answers(260), images_of_answers(labels // 2, labels, 260)))
    check("evaluation", evaluation)
    assert len(evaluation["confusion_counts"]) == 260


@pytest.mark.parametrize("num_images", [1, 30])
def test_an_evaluation_of_little_fits_its_schema(num_images):
    labels = np.arange(num_images) % 2
    some = images_of_answers(labels * 0, labels, 4)
    evaluation = written(evaluate(classifier_of_answers(4, reject_below=1.0), some))
    check("evaluation", evaluation)
    assert evaluation["at_reject_below"]["error"] is None
    assert evaluation["log_loss_unscaled"] is evaluation["outside"] is None


def test_comparisons_fit_their_schema():
    classifier, labels = classifier_of_answers(3), np.zeros(60, int)
    better = images_of_answers(labels, labels, 3)
    for num_wrong, expected in ((0, None), (2, None), (20, "b")):
        answers = np.where(np.arange(60) < num_wrong, 1, 0)
        comparison = written(compare(classifier, classifier, images_of_answers(answers, labels, 3), better))
        check("comparison", comparison)
        assert list(comparison) == SCHEMAS["comparison"]["required"]
        assert comparison["better"] == expected
        assert len(comparison["differing"]) == num_wrong


def test_a_field_that_is_missing_or_new_does_not_fit():
    evaluation = written(evaluate(classifier_of_answers(3), images_of_answers([0, 1], [0, 1], 3)))
    check("evaluation", evaluation)
    with pytest.raises(AssertionError, match="'bins' was unexpected"):
        check("evaluation", {**evaluation, "bins": []})
    with pytest.raises(AssertionError, match="calibration. is a required property"):
        check("evaluation", {key: value for key, value in evaluation.items() if key != "calibration"})
