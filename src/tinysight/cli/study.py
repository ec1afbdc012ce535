"""The command `tinysight study`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..training.settings import APIS, AUGMENTATIONS, DROPOUT_POSITIONS, TrainingSettings
from . import console
from .options import (
    DONE,
    DONE_IN_PART,
    ChannelsOption,
    DataArgument,
    FramingOption,
    ImageSizeOption,
    RootOption,
    WeightsOption,
    parse_choices,
    parse_hidden,
    parse_image_size,
    parse_rates,
    parse_train_sizes,
    run_name,
    with_settings,
)
from .study_output import StudyProgress, show_study


@with_settings(without=("dropout", "dropout_position", "api", "augment", "patience"))
def study(
    data: DataArgument,
    dropout: Annotated[
        str, typer.Option(help="Dropout rates, with commas; 0 is always among them.", rich_help_panel="Comparison")
    ] = "0,0.5",
    augment: Annotated[
        str | None,
        typer.Option(
            help="Presets of random changes to the training images, with commas; none is always among them.",
            metavar=f"[{'|'.join(AUGMENTATIONS)}]",
            show_default="the recipe's; none without a recipe",
            rich_help_panel="Comparison",
        ),
    ] = None,
    train_sizes: Annotated[
        str | None,
        typer.Option(
            help="Numbers of training images, with commas, or all.",
            show_default="1000,10000,all; of fewer than 20,000 a 16th, a quarter and all",
            rich_help_panel="Comparison",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            help="Number of trainings of each kind, 2 to 100; for one seed all have the same split, first weights and "
            "batches.",
            rich_help_panel="Comparison",
        ),
    ] = 5,
    dropout_position: Annotated[
        str | None,
        typer.Option(
            help="Positions of dropout, with commas.",
            metavar=f"[{'|'.join(DROPOUT_POSITIONS)}]",
            show_default="after the activation; before with --api functional",
            rich_help_panel="Comparison",
        ),
    ] = None,
    api: Annotated[
        str,
        typer.Option(
            help="Keras APIs that build the network, with commas.",
            metavar=f"[{'|'.join(APIS)}]",
            rich_help_panel="Comparison",
        ),
    ] = "sequential",
    framing: FramingOption = None,
    image_size: ImageSizeOption = None,
    channels: ChannelsOption = None,
    root: RootOption = None,
    weights: WeightsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results.", show_default="runs/study- and the data's name", rich_help_panel="Output"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Train everything anew.", rich_help_panel="Output")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The most processes that train at a time; the results do not depend on it.",
            show_default="one for each core",
            rich_help_panel="Output",
        ),
    ] = None,
    **settings: Any,
) -> int:
    """Find out whether the network overfits on your images, and what helps.

    Trains it with and without dropout or augmentation, on few and on many images, with several seeds.
    Says what follows from the intervals.

    Finished trainings are kept. If it was interrupted, the same command goes on.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # there is a process for each core
    from ..study.settings import StudySettings

    chosen = StudySettings(
        parse_rates(dropout),
        parse_choices(dropout_position),
        parse_choices(api),
        parse_choices(augment),
        parse_train_sizes(train_sizes),
        seeds,
        TrainingSettings(**{**settings, "hidden": parse_hidden(settings["hidden"])}),
        weights,
    )
    size = parse_image_size(image_size)
    from ..data.loading import load_images
    from ..study.run import check_study_folder, run_study
    from ..training.network_choice import check_weights, photograph_size

    folder = out or Path("runs") / f"study-{run_name(data)}"
    check_study_folder(folder)
    check_weights(chosen.training, weights)
    with console.progress_bar() as progress:
        large = photograph_size(chosen.training.network, weights)
        images = load_images(data, framing, size, None, progress, channels, root, large)
    console.show_images(images)
    console.show_network(chosen.training, images, weights)
    console.print_line(f"finished trainings are kept in {folder / 'trainings'}")
    try:
        with StudyProgress() as on_training:
            result = run_study(images, chosen, folder, overwrite, jobs, on_training, on_training.on_features)
    except KeyboardInterrupt:
        if (folder / "trainings").is_dir():
            console.print_note("the same command goes on from the finished trainings")
        raise
    show_study(result, folder)
    return DONE_IN_PART if images.unreadable else DONE
