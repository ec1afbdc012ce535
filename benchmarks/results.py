"""Makes ``RESULTS.md`` and its plot out of what was measured; measures nothing."""

import json
import statistics
from pathlib import Path
from typing import Any

from . import prediction

FOLDER = Path(__file__).parent
PAGE = FOLDER / "RESULTS.md"
PLOT = FOLDER / "results" / "time.svg"

NAMES = {
    "tinysight_first": "Tinysight, with an empty cache",
    "tinysight": "Tinysight",
    "plain_keras": "Keras `fit`, as the tutorial",
    "compiled_keras": "Keras `fit`, batch 256, `jit_compile`",
    "scikit_learn": "scikit-learn `MLPClassifier`",
    "pytorch": "PyTorch, as its tutorial",
    "tuned_pytorch": "PyTorch, tuned by us (batch 256, one-cycle)",
    "jax_optax": "JAX with Optax",
}
Result = dict[str, Any]


def path_of(name: str) -> Path:
    """Where a benchmark's figures are kept."""
    return FOLDER / "results" / f"{name}.json"


def write_page() -> None:
    """Write the page from all that has been measured so far."""
    parts = [
        "# Results\n\nWritten by `make bench` and `make bench-full`; every figure on this page was measured by them. "
        "Machines are shared and drift: only ratios within one part mean much. In brackets: the smallest and the "
        "largest of all runs.\n"
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
    }
    for name, writer in writers.items():
        if path_of(name).exists():
            result = json.loads(path_of(name).read_text())
            parts.append(writer(result))
            if name != "time":  # whose goals are measured on days of their own
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
        f"## Whole process to {share} of MNIST's test images\n",
        f"`{command}`, from start to saved run, against programs that look at the test images after each epoch and "
        f"stop the clock when they read {share}, or give up after 10 epochs; `python -m benchmarks time`.\n",
        "| program | seconds | times Tinysight's | how it went |",
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
        "## Where the time goes\n",
        "The phases of `tinysight train mnist`, median of several processes; `python -m benchmarks phases`.\n",
        "| phase | seconds | share |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _throughput_part(result: Result) -> str:
    limit = [min(pair) for pair in zip(*(result["seconds"][f"products, {by}"] for by in ("NumPy", "XLA")), strict=True)]
    lines = [
        "## Training against the limit of its matrix products\n",
        f"Epochs of {result['images']:,} images at batch size {result['batch_size']}, in turn with the products alone "
        "(the faster of NumPy's and XLA's); `python -m benchmarks throughput`.\n",
        "| what | images per second | share of the limit |",
        "|---|---|---|",
        f"| products alone | {_rate(result['images'], limit)} | 100 % |",
    ]
    for name, shares in result["share_of_limit"].items():
        percent = _spread([share * 100 for share in shares], 0)
        lines.append(f"| {name} | {_rate(result['images'], result['seconds'][name])} | {percent} % |")
    extra = "; ".join(f"{name}: {factor:.2f} times plain" for name, factor in result["augmented_to_plain"].items())
    return "\n".join([*lines, f"\nAn epoch of {extra}.\n"])


def _prediction_part(result: Result) -> str:
    whole = {"predict": "`tinysight predict`", "read_picture": "decoding by `read_picture`", "Pillow": "by Pillow"}
    lines = [
        "## Predicting files\n",
        f"{result['pictures']:,} test images of MNIST as PNG files, predicted by the classifier in the box, against as "
        "many processes that only decode them, in turn; whole process, and from the first result on; `python -m "
        "benchmarks prediction`.\n",
        "| what | pictures per second | our share of it, % | after the start | our share of it, % |",
        "|---|---|---|---|---|",
    ]
    for name, rate, working_rate, *both in prediction.rates(result):
        figures = ["100" if name == "predict" else _spread([100 * share for share in row], 0) for row in both]
        lines.append(f"| {whole[name]} | {rate:,.0f} | {figures[0]} | {working_rate:,.0f} | {figures[1]} |")
    memory = "; ".join(
        f"{int(count):,} pictures: {peak['together']:.0f} MiB, of which one process at most {peak['one']:.0f}"
        for count, peak in result["peak_mib"].items()
    )
    lines.append(f"\nOne picture, whole process: {_spread(result['seconds']['one picture'], 2)} s.")
    lines.append(f"\nPeak memory of all processes together, shared pages counted once: {memory}.\n")
    return "\n".join(lines)


def _serving_part(result: Result) -> str:
    lines = [
        "## Requests per second of the service\n",
        f"`wrk` with {result['connections']} connections posts MNIST's test images as PNG to `tinysight serve` and, in "
        "turn, to a FastAPI route on the same server that only reads the body; `python -m benchmarks serving`.\n",
        "| what | requests per second | share | median, ms | 99th percentile, ms | errors |",
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
        f"Over {rows[-1][0]:,} requests, as above, with {result['errors']} errors: {first:.1f} MiB after the first "
        f"{rows[0][0]:,}, {largest:.1f} MiB at most ({largest / first - 1:+.1%}), {rows[-1][1]:.1f} MiB at the end; "
        "`python -m benchmarks serving-memory`.\n"
    )


def _growth_part(result: Result) -> str:
    first = result["rows"][0]
    lines = [
        "## Growth\n",
        "The whole command on MNIST's images distorted over and over, with an empty cache; the time per image is that "
        "of the last epoch, training and scoring, compared with the mean of the smallest set's before and after it; "
        "`python -m benchmarks growth`.\n",
        "| images | epochs | whole process, s | µs per image and epoch | times the smallest | peak memory, MiB "
        "| above the first |",
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
        "The network is always 784–512–10 with 1,022,490 weights; mean ± standard deviation over the seeds 0, 1, …; "
        "everything was chosen on validation images; rows may be of different days and machines, the last of which "
        "is named below; `python -m benchmarks accuracy`.\n",
        "| what | command | epochs | seconds | accuracy | each seed |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        percents = [100 * accuracy for accuracy in row["accuracies"]]
        mean = f"{statistics.mean(percents):.2f} ± {statistics.stdev(percents):.2f} %"
        each = ", ".join(f"{percent:.2f}" for percent in percents)
        lines.append(f"| {name} | `{row['command']}` | {row['epochs']} | {row['seconds']:.0f} | {mean} | {each} |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float], digits: int = 1) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


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
        axes.set_xlabel(f"seconds to {_percent(float(goal))} of the test images, whole process, median")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.2)
    figure.savefig(PLOT, metadata={"Date": None})
