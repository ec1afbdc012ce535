"""Seconds of each phase of ``tinysight train mnist``, from a program with the same steps in the same order.

``python -m benchmarks.phases`` is one such process and prints its seconds as JSON. `measure` runs several.
"""

import json
import statistics
import sys
import tempfile
import time

from . import processes


def measure(num_runs: int) -> dict:
    """Return the median seconds of each phase over several processes."""
    runs = []
    for _ in range(num_runs):
        started = time.time()
        finished = processes.run([sys.executable, "-m", "benchmarks.phases", str(started)])
        phases = json.loads(finished.lines[-1][1])
        phases["exit of Python"] = finished.seconds - sum(phases.values())
        runs.append(phases)
        print({name: round(seconds, 2) for name, seconds in phases.items()}, flush=True)
    return {"seconds": {name: statistics.median(run[name] for run in runs) for name in runs[0]}}


class Clock:
    """Measures how long each phase takes."""

    def __init__(self, started: float) -> None:
        self.phases: dict[str, float] = {}
        self._last = started

    def ends(self, phase: str) -> None:
        """Add the time since the last call to a phase."""
        now = time.time()
        self.phases[phase] = self.phases.get(phase, 0.0) + now - self._last
        self._last = now


def train_step_by_step(started: float) -> dict[str, float]:
    """Train as ``tinysight train mnist`` does, and return the seconds of each phase."""
    from tinysight.cli.train import _faster_imports
    from tinysight.data.loading import load_images
    from tinysight.data.splits import split_images
    from tinysight.evaluation import evaluate
    from tinysight.run_folder import save_run
    from tinysight.training.settings import TrainingSettings

    clock = Clock(started)
    clock.ends("start of Python, command line and ONNX Runtime")
    images = split_images(load_images("mnist"))
    clock.ends("images from the cache, split")
    with _faster_imports("matplotlib", "pandas", "scipy", "sklearn"):
        from tinysight.training import train as train_module
    clock.ends("import of TensorFlow and Keras")
    settings = TrainingSettings().resolved(len(images.indices("train")), images.framing.method)
    train_module.keras.utils.set_random_seed(0)
    train_module.tf.config.experimental.enable_op_determinism()
    model, predict, history = _train_epochs(train_module, images, settings, clock)
    classifier = train_module.to_classifier(model, images, settings)
    validation_rows = images.indices("validation")
    probabilities = classifier.probabilities(images.rows(validation_rows).images)
    parity = train_module.measure_parity(probabilities, predict(images, validation_rows))
    classifier = classifier.with_metadata(parity=parity)
    clock.ends("ONNX file, comparison with Keras")
    evaluation = evaluate(classifier, images.subset("test"))
    clock.ends("evaluation")
    training = train_module.Training(classifier, model, history, settings.epochs, settings, images, was_stopped=False)
    with tempfile.TemporaryDirectory() as folder:
        save_run(training, evaluation, folder)
    clock.ends("saving the run")
    return clock.phases


def _train_epochs(train_module, images, settings, clock: Clock) -> tuple:
    import numpy as np

    model = train_module.BUILDERS["sequential"](images.framing.image_shape, len(images.class_names))
    training_rows, validation_rows = images.indices("train"), images.indices("validation")
    chunks = train_module.ShuffledChunks(images, training_rows, settings.batch_size)
    train_on = train_module.compile_training(model, model, settings, settings.epochs * chunks.steps)
    predict = train_module.compile_prediction(model)
    rng = np.random.default_rng(0)
    history = []
    for epoch in range(1, settings.epochs + 1):
        for chunk, order in chunks.epoch(rng):
            train_on(chunk, order, epoch, np.ones(len(images.class_names), np.float32))
        model.trainable_variables[0].numpy()  # waits until training has ended
        clock.ends("first epoch, with tracing and compilation" if epoch == 1 else "other epochs")
        figures = []
        for rows in (training_rows[: len(validation_rows)], validation_rows):
            probabilities, labels = predict(images, rows), images.labels[rows]
            figures += [train_module.log_loss(probabilities, labels), train_module.accuracy(probabilities, labels)]
        history.append(train_module.EpochResult(epoch, *figures, seconds=0.0))
        clock.ends("scoring after each epoch")
    return model, predict, history


if __name__ == "__main__":
    print(json.dumps(train_step_by_step(float(sys.argv[1]))))
