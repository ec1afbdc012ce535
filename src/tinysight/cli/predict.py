"""The command `tinysight predict`."""

import os
from contextlib import closing
from functools import partial
from typing import Annotated

import typer

from ..errors import SettingsError, check_choice
from . import console, prediction_output
from .options import DONE, DONE_IN_PART, FAILED


def predict(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="[CLASSIFIER] PICTURE…",
            help="Files, folders, ZIP archives or patterns such as '*.png'; - is standard input. If the first "
            "name ends in .onnx it is the classifier; else the built-in digit classifier is used.",
        ),
    ],
    top: Annotated[
        int, typer.Option(min=1, help="Number of classes to list for each picture, the most probable first.")
    ] = 1,
    reject: Annotated[
        bool,
        typer.Option("--reject", help="Show none instead of the class for pictures that probably belong to no class."),
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Draw each picture as the classifier's input, as text.")] = False,
    output_format: Annotated[
        str,
        typer.Option(
            "--format", help="How predictions are printed; json is one object a line.", metavar="[table|json|csv]"
        ),
    ] = "table",
) -> int:
    """Predict the class of pictures.

    Pictures may have any size and colour. They are framed as the training pictures were.
    """
    # Options, classifier and names
    check_choice("format", output_format, prediction_output.FORMATS)
    named = pictures[0] if pictures[0].endswith(".onnx") else None
    names = pictures[1:] if named else pictures
    if not names:
        raise SettingsError("no picture is given; expected at least one after the classifier")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for NumPy: there is a process for each core already
    from ..classifier import Classifier
    from ..picture_sources import count_sources
    from ..prediction import predict_sources

    # Predict in several processes; print results and errors in order
    load = partial(Classifier.load, named, 1) if named else partial(Classifier.pretrained, 1)
    finish = partial(prediction_output.prediction_lines, output_format=output_format, reject=reject, show=show)
    printer = prediction_output.PredictionPrinter()
    done = failed = total = 0
    with console.progress_bar() as progress, closing(predict_sources(load, names, top, finish)) as outcomes:
        for outcome in outcomes:
            if outcome.num_predicted:
                printer.show(outcome.finished)
            for _, message in outcome.failures:
                console.print_error(message)
            for note in outcome.notes:
                console.print_note(note)
            if progress:
                total = total if done or failed else count_sources(names)
                progress("predicting", done + failed + outcome.num_predicted + len(outcome.failures), total)
            done += outcome.num_predicted
            failed += len(outcome.failures)
    if failed:
        return DONE_IN_PART if done else FAILED
    return DONE
