"""The commands `tinysight predict` and `tinysight evaluate`."""

import json
import os
from contextlib import closing
from functools import partial
from typing import Annotated

import typer

from ..errors import SettingsError, check_choice
from . import console
from .options import DONE, DONE_IN_PART, FAILED, ClassifierArgument, DataArgument


def predict(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="[CLASSIFIER] PICTURE…",
            help="Files, folders, ZIP archives or patterns; - is standard input. A first one that ends in .onnx is the "
            "classifier; without one, the classifier of digits that comes with Tinysight.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 1,
    reject: Annotated[bool, typer.Option("--reject", help="Mark what is probably of no class.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Draw each picture as the network sees it.")] = False,
    output_format: Annotated[str, typer.Option("--format", help="table, json (an object a line) or csv.")] = "table",
) -> int:
    """Name what is in pictures.

    A picture of another size or colour than the classifier's is framed as its training pictures were.
    """
    check_choice("format", output_format, console.PREDICTION_FORMATS)
    named = pictures[0] if pictures[0].endswith(".onnx") else None
    names = pictures[1:] if named else pictures
    if not names:
        raise SettingsError("no picture is named; expected one after the classifier")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's; there is a process for each core
    from ..classifier import Classifier
    from ..prediction import count_sources, predict_sources

    load = partial(Classifier.load, named, 1) if named else partial(Classifier.pretrained, 1)
    finish = partial(console.prediction_lines, output_format=output_format, reject=reject, show=show)
    done = failed = total = 0
    with console.progress_bar() as progress, closing(predict_sources(load, names, top, finish)) as outcomes:
        for outcome in outcomes:
            if outcome.num_predicted:
                console.print_predictions(outcome.finished, is_first=not done)
            for _, error in outcome.failures:
                console.complain(str(error))
            if progress:
                total = total if done or failed else count_sources(names)
                progress("predicting", done + failed + outcome.num_predicted + len(outcome.failures), total)
            done += outcome.num_predicted
            failed += len(outcome.failures)
    if failed:
        return DONE_IN_PART if done else FAILED
    return DONE


def evaluate(
    classifier: ClassifierArgument,
    data: DataArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Score a classifier on images that it was not trained on.

    These are the test images of DATA; if it has none, those that training kept for testing; if the classifier was
    trained on other data, all of them. Images that it was trained on, wherever they are, are left out.
    """
    from ..classifier import Classifier
    from ..data.loading import load_images
    from ..evaluation import evaluate as score, unseen_images

    loaded = Classifier.load(classifier)
    with console.progress_bar() as progress:
        images = load_images(data, like=loaded.framing, progress=progress)
    console.show_left_out(images)
    evaluation = score(loaded, *unseen_images(loaded, images))
    if as_json:
        print(json.dumps(evaluation.to_dict(), indent=2))  # noqa: T201
    else:
        console.show_evaluation(evaluation)
    return DONE_IN_PART if images.unreadable else DONE
