"""Writes ``RESULTS.md`` and its plot from the figures that the benchmarks have stored."""

import json
import statistics
from pathlib import Path
from typing import Any

from . import prediction
from .image_folders import FOLDERS

FOLDER = Path(__file__).parent
PAGE = FOLDER / "RESULTS.md"
PLOT = FOLDER / "results" / "time.svg"

NAMES = {
    "tinysight_first": "Tinysight, with an empty cache",
    "tinysight": "Tinysight",
    "plain_keras": "Keras `fit`, as in the tutorial",
    "compiled_keras": "Keras `fit`, batch size 256, `jit_compile`",
    "scikit_learn": "scikit-learn `MLPClassifier`",
    "pytorch": "PyTorch, as in its tutorial",
    "tuned_pytorch": "PyTorch, tuned by us (batch size 256, one-cycle)",
    "jax_optax": "JAX with Optax",
}
OWN_IMAGES = {
    "tinysight": "Tinysight, no options",
    "tinysight_best": "Tinysight, chosen options",
    "logistic_regression": "logistic regression",
    "hog_svm": "HOG + SVM",
    "keras_convnet": "Keras convnet",
}
PHOTOGRAPHS = {
    "tinysight_first": "Tinysight, with an empty cache",
    "tinysight": "Tinysight, again",
    "tinysight_dense": "Tinysight, `--network dense`",
    "keras_transfer": "Keras transfer learning",
    "keras_convnet": "Keras convnet from scratch",
    "hog_svm": "HOG + SVM",
    "hog_logistic": "HOG + logistic regression",
}
Result = dict[str, Any]


def path_of(name: str) -> Path:
    """Return the path of a benchmark's figures."""
    return FOLDER / "results" / f"{name}.json"


def write_page() -> None:
    """Write the page from all figures measured so far."""
    parts = [
        "# Results\n\n`make bench` and `make bench-full` measured every figure on this page, and wrote the page. The "
        "machines are shared and their speed drifts, so compare ratios within one section only. The smallest and the "
        "largest of all runs are in brackets.\n"
    ]
    writers = {
        "time": _time_parts,
        "phases": _phases_part,
        "throughput": _throughput_part,
        "prediction": _prediction_part,
        "serving": _serving_part,
        "serving-memory": _serving_memory_part,
        "growth": _growth_part,
        "accuracy": _accuracy_part,
        "own-images": _own_images_part,
        "photographs": _photographs_part,
    }
    for name, writer in writers.items():
        if path_of(name).exists():
            result = json.loads(path_of(name).read_text())
            parts.append(writer(result))
            if name not in ("time", "own-images"):  # each of their goals or programs has its own date
                parts.append(f"{_about(result)}\n")
    PAGE.write_text("\n".join(parts))
    if path_of("time").exists():
        _plot(json.loads(path_of("time").read_text()))


def _time_parts(result: Result) -> str:
    parts = [_time_part(measured, goal) for goal, measured in result["goals"].items()]
    return "\n".join([*parts, f"![Seconds of each program]({PLOT.relative_to(FOLDER)})\n"])


def _time_part(result: Result, goal: str) -> str:
    share = _percent(float(goal))
    command = " ".join(["tinysight train mnist", *result["options"]])
    lines = [
        f"## Time to {share} of MNIST's test images\n",
        f"Seconds of whole processes. Tinysight runs `{command}`, from start to saved run. The other programs score "
        f"the test images after each epoch. They stop when {share} are classified correctly, or after 10 epochs. "
        "Command: `python -m benchmarks time`.\n",
        "| program | seconds | relative to Tinysight | test accuracy of each run |",
        "|---|---|---|---|",
    ]
    own = _seconds(result, "tinysight")
    for name, runs in result["runs"].items():
        times, notes = _seconds(result, name), list(dict.fromkeys(run["note"] for run in runs))
        missed = [note.startswith("missed") for note in notes]
        over = "over " if any(missed) else ""
        ratio = "–" if all(missed) else over + _spread([time / mine for time, mine in zip(times, own, strict=True)])
        lines.append(
            f"| {NAMES[name]} | {_spread(times)} | {1 if name == 'tinysight' else ratio} | {'; '.join(notes)} |"
        )
    versions = "; ".join(
        f"{NAMES[peer]}: " + ", ".join(f"{package} {version}" for package, version in packages.items())
        for peer, packages in result["peers"].items()
    )
    return "\n".join([*lines, f"\n{versions}.\n", f"{_about(result)}\n"])


def _about(result: Result) -> str:
    return f"{result['date']}; {result['machine']}; {result['versions']}."


def _seconds(result: Result, name: str) -> list[float]:
    return [run["seconds"] for run in result["runs"][name]]


def _phases_part(result: Result) -> str:
    whole = sum(result["seconds"].values())
    rows = [f"| {name} | {spent:.2f} | {spent / whole:.0%} |" for name, spent in result["seconds"].items()]
    lines = [
        "## Phases of a training\n",
        "Seconds of each phase of `tinysight train mnist`, median of several processes. Command: `python -m benchmarks "
        "phases`.\n",
        "| phase | seconds | share |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _throughput_part(result: Result) -> str:
    limit = [min(pair) for pair in zip(*(result["seconds"][f"products, {by}"] for by in ("NumPy", "XLA")), strict=True)]
    lines = [
        "## Training speed as a share of its matrix products' speed\n",
        f"Epochs of {result['images']:,} images at batch size {result['batch_size']}, in turn with the network's "
        "matrix products alone. The limit is NumPy's or XLA's products, whichever are faster. Command: `python -m "
        "benchmarks throughput`.\n",
        "| what | images per second | share of the limit |",
        "|---|---|---|",
        f"| matrix products alone | {_rate(result['images'], limit)} | 100 % |",
    ]
    for name, shares in result["share_of_limit"].items():
        percent = _spread([share * 100 for share in shares], 0)
        lines.append(f"| {name} | {_rate(result['images'], result['seconds'][name])} | {percent} % |")
    extra = "; ".join(f"{name}: {factor:.2f}" for name, factor in result["augmented_to_plain"].items())
    return "\n".join([*lines, f"\nTime of an epoch relative to fast. {extra[0].upper()}{extra[1:]}.\n"])


def _prediction_part(result: Result) -> str:
    names = {
        "predict": "`tinysight predict`",
        "read_picture": "decoding only, `read_picture`",
        "Pillow": "decoding only, Pillow",
    }
    lines = [
        "## Predicting files\n",
        f"{result['pictures']:,} test images of MNIST as PNG files, predicted by the built-in classifier. For "
        "comparison, as many processes only decode them. All take turns. The first two columns are of the whole "
        "process, the others of the time after start-up. Command: `python -m benchmarks prediction`.\n",
        "| what | pictures per second | `predict` relative to it, % | after start-up, per second "
        "| `predict` relative to it, % |",
        "|---|---|---|---|---|",
    ]
    for name, rate, working_rate, *both in prediction.rates(result):
        figures = ["100" if name == "predict" else _spread([100 * share for share in row], 0) for row in both]
        lines.append(f"| {names[name]} | {rate:,.0f} | {figures[0]} | {working_rate:,.0f} | {figures[1]} |")
    memory = "; ".join(
        f"{int(count):,} pictures: {peak['together']:.0f} MiB, of which the largest process {peak['one']:.0f}"
        for count, peak in result["peak_mib"].items()
    )
    lines.append(f"\nOne picture, whole process: {_spread(result['seconds']['one picture'], 2)} s.")
    lines.append(f"\nPeak memory of all processes together, with shared pages counted once. {memory}.\n")
    return "\n".join(lines)


def _serving_part(result: Result) -> str:
    lines = [
        "## Requests per second of the service\n",
        f"`wrk` with {result['connections']} connections posts MNIST's test images as PNG. It loads `tinysight serve` "
        "and, in turn, a FastAPI route on the same server that only reads the body. Command: `python -m benchmarks "
        "serving`.\n",
        "| what | requests per second | share of the bare route | median, ms | 99th percentile, ms | errors |",
        "|---|---|---|---|---|---|",
    ]
    shares = {"bare": "100 %", "service": f"{_spread([100 * ratio for ratio in result['ratios']], 0)} %"}
    for name, title in (("bare", "a bare route"), ("service", "`tinysight serve`, `/predict`")):
        runs = result["runs"][name]
        columns = [_spread([run[key] for run in runs], digits) for key, digits in (
            ("per_second", 0), ("median_ms", 1), ("p99_ms", 1)
        )]  # fmt: skip
        errors = sum(run["errors"] for run in runs)
        lines.append(f"| {title} | {columns[0]} | {shares[name]} | {columns[1]} | {columns[2]} | {errors} |")
    return "\n".join(lines) + "\n"


def _serving_memory_part(result: Result) -> str:
    rows = result["rows"]
    first = rows[0][1]
    largest = max(mib for _, mib in rows)
    return (
        "## Memory of the service\n\n"
        f"{rows[-1][0]:,} requests as above, with {result['errors']} errors. Resident memory: {first:.1f} MiB after "
        f"the first {rows[0][0]:,} requests, {largest:.1f} MiB at most ({largest / first - 1:+.1%}), "
        f"{rows[-1][1]:.1f} MiB at the end. Command: `python -m benchmarks serving-memory`.\n"
    )


def _growth_part(result: Result) -> str:
    first = result["rows"][0]
    lines = [
        "## Time and memory as the number of images grows\n",
        "`tinysight train` with an empty cache, on copies of MNIST's images, each augmented differently. The time per "
        "image is that of the last epoch, training and scoring. It is compared with the mean of the smallest set's "
        "times before and after. Command: `python -m benchmarks growth`.\n",
        "| images | epochs | whole process, s | µs per image and epoch | relative to the smallest set "
        "| peak memory, MiB | above the first row, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        ratio = f"{row['times_smallest']:.2f}" if "times_smallest" in row else "–"
        lines.append(
            f"| {row['images']:,} | {row['epochs']} | {row['seconds']:.0f} | {row['microseconds_per_image']:.1f} "
            f"| {ratio} | {row['peak_mib']:,.0f} | {row['peak_mib'] - first['peak_mib']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def _accuracy_part(result: Result) -> str:
    lines = [
        "## Accuracy on the test images\n",
        "All have the same network, with 784–512–10 units and 1,022,490 weights. Accuracy is the mean ± standard "
        "deviation over the seeds 0, 1, …. Settings were chosen on validation images, with one exception: "
        "Fashion-MNIST's test images decided how many epochs `fast` has ([experiments](../docs/experiments.md)). Rows "
        "may be of different days and machines; the last day and machine are below. Since their seconds were measured, "
        "`accurate` and `robust` draw other random numbers. Their accuracies are of today's program; the rows without "
        "augmentation and with flips are of the one before. Command: `python -m benchmarks accuracy`.\n",
        "| what | command | epochs | seconds | accuracy | each seed |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        percents = [100 * accuracy for accuracy in row["accuracies"]]
        mean = _mean(percents)
        each = ", ".join(f"{percent:.2f}" for percent in percents)
        lines.append(f"| {name} | `{row['command']}` | {row['epochs']} | {row['seconds']:.0f} | {mean} | {each} |")
    return "\n".join(lines) + "\n"


def _own_images_part(result: Result) -> str:
    programs = [name for name in OWN_IMAGES if name in result["measured"]]
    lines = [
        "## Accuracy on folders of pictures\n",
        "Test accuracy on folders with `train` and `test`, the same for all programs: mean ± standard deviation over "
        "the seeds 0, 1, …. The seed chooses the pictures in each, class by class, and is each program's seed too. "
        "A figure without ± is of one seed. "
        "Where nothing else is said, a fifth of each class is for testing. MNIST's rows have its 10,000 test images. "
        "With all of MNIST's training images, logistic regression and SVM depend on no seed and ran once. "
        "Command: `python -m benchmarks own-images --full`; `--only` names programs or folders to measure.\n",
        "- Tinysight with no options is `tinysight train FOLDER`. A test image that it leaves out counts as wrong.",
        "- Logistic regression: scikit-learn's, with its defaults behind `StandardScaler`, on 28×28 pixels, grey or, "
        "where the pictures are in colour, in colour.",
        "- HOG + SVM: scikit-image's `hog` with its defaults on 64×64 grey pixels. scikit-learn's `SVC` with its "
        "defaults, or `LinearSVC` for more than 10,000 training images, as scikit-learn advises.",
        "- Keras convnet: three convolutions with max pooling and a dense layer of 128, at 64×64 in colour, as in the "
        "tutorial “Image classification”. A fifth of the training images are for validation. At most "
        f"{FOLDERS['omniglot'].epochs} epochs, and early stopping after 5 without a lower validation loss; at most "
        f"{FOLDERS['mnist-100'].epochs} epochs with all of MNIST's training images.\n",
        "| pictures | classes | training, test images | " + " | ".join(OWN_IMAGES[name] for name in programs) + " |",
        "|---" * (3 + len(programs)) + "|",
    ]
    for name, folder in result["folders"].items():
        counts = folder["splits"]["0"]
        cells = [_own_images_cell(folder, program) for program in programs]
        images = f"{counts['train']:,}, {counts['test']:,}"
        lines.append(f"| {FOLDERS[name].title} | {counts['classes']} | {images} | {' | '.join(cells)} |")
    if "tinysight_best" in programs:
        options = {name: FOLDERS[name].best for name in result["folders"]}
        lines.append("\nThe chosen options: " + "; ".join(f"{name}: `{best}`" for name, best in options.items()) + ".")
    about = [f"{OWN_IMAGES[name]}: {_about(result['measured'][name])}" for name in programs]
    return "\n".join([*lines, "", *(f"{line}\n" for line in about)])


def _own_images_cell(folder: Result, program: str) -> str:
    runs = folder["runs"].get(program, {})
    percents = [100 * run["correct"] / folder["splits"][seed]["test"] for seed, run in runs.items()]
    return _mean(percents) if percents else "–"


def _photographs_part(result: Result) -> str:
    counts, runs = result["splits"]["0"], result["runs"]
    first = runs["tinysight_first"]
    lines = [
        "## Photographs\n",
        f"{counts['train']} training and {counts['test']} test images of {counts['classes']} classes: toys, drawings "
        f"and photographs in colour, at most 320 pixels. There are {len(result['splits'])} seeds; each has a split of "
        "its own, the same for all programs. Whole processes: reading, training, scoring the test images, and of "
        "Tinysight also the classifier's files and the report. Ratios are to Tinysight with an empty cache. "
        "Command: `python -m benchmarks photographs`.\n",
        "- Tinysight: `tinysight train FOLDER`, which takes the pretrained network.",
        "- Keras transfer learning, as in its guides: a frozen network at 224×224 pixels, pooling, dropout and one "
        "dense layer, for 10 epochs. The network is the same EfficientNet-Lite0, with its batch normalization folded "
        "in: Keras's own networks, which have it, take longer.",
        "- Keras convnet, HOG + SVM: as in the table above. HOG + logistic regression: the same features behind "
        "`StandardScaler`.\n",
        "| program | seconds | CPU seconds | ratio of seconds | ratio of CPU seconds | test accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for program, name in PHOTOGRAPHS.items():
        if program in runs:
            own = runs[program]
            cells = [_spread_or_one([run[key] for run in own.values()]) for key in ("seconds", "cpu_seconds")]
            cells += [
                _spread_or_one([own[s][key] / first[s][key] for s in own], 2) for key in ("seconds", "cpu_seconds")
            ]
            shares = [100 * run["correct"] / result["splits"][s]["test"] for s, run in own.items()]
            lines.append(f"| {name} | {' | '.join(cells)} | {_mean(shares)} |")
    versions = ", ".join(f"{name} {version}" for name, version in result["peer_versions"].items())
    return "\n".join([*lines, f"\nOther programs: {versions}.\n"])


def _mean(percents: list[float]) -> str:
    """Write mean and standard deviation, or the one figure there is."""
    if len(percents) == 1:
        return f"{percents[0]:.2f} %"
    return f"{statistics.mean(percents):.2f} ± {statistics.stdev(percents):.2f} %"


def _spread(values: list[float], digits: int = 1) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _spread_or_one(values: list[float], digits: int = 1) -> str:
    return _spread(values, digits) if max(values) > min(values) else f"{values[0]:.{digits}f}"


def _rate(images: int, seconds: list[float]) -> str:
    return f"{images / statistics.median(seconds):,.0f}"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _plot(result: Result) -> None:
    """Draw the median seconds of each program as bars, fastest first."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tinysight"
    from matplotlib import pyplot

    goals = result["goals"]
    height = sum(0.4 * len(measured["runs"]) + 1 for measured in goals.values())
    figure, plots = pyplot.subplots(len(goals), figsize=(8, height), layout="constrained", squeeze=False)
    for axes, (goal, measured) in zip(plots[:, 0], goals.items(), strict=True):
        medians = {name: statistics.median(_seconds(measured, name)) for name in measured["runs"]}
        reached = {name: not any("missed" in run["note"] for run in measured["runs"][name]) for name in medians}
        order = sorted(medians, key=lambda name: (reached[name], -medians[name]))
        colours = [
            "#d9822b" if name.startswith("tinysight") else "#8a9ba8" if reached[name] else "#d8dfe4" for name in order
        ]
        names = [NAMES[name].replace("`", "") for name in order]
        bars = axes.barh(names, [medians[name] for name in order], color=colours)
        texts = [f"{medians[name]:.0f} s" + ("" if reached[name] else ", not reached") for name in order]
        axes.bar_label(bars, texts, padding=4)
        axes.set_xlabel(f"seconds of the whole process to {_percent(float(goal))} of the test images, median")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.2)
    figure.savefig(PLOT, metadata={"Date": None})
