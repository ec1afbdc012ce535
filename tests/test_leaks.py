"""A leak by group, planted: frames of one clip look alike, and a clip's label is a toss of a coin."""

import numpy as np
import pytest
from PIL import Image

from tinysight.data.loading import load_images
from tinysight.evaluation import evaluate
from tinysight.training.settings import TrainingSettings
from tinysight.training.train import train

NUM_CLIPS, NUM_FRAMES = 60, 8
SMALL = TrainingSettings(recipe="fast", hidden=(48,), epochs=12, test=0.3)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for clip in range(NUM_CLIPS):
        still = rng.integers(0, 256, (16, 16))
        target = folder / ("heads" if clip % 2 else "tails")
        target.mkdir(exist_ok=True)
        for frame in range(NUM_FRAMES):
            noisy = (still + rng.normal(0, 30, (16, 16))).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(target / f"clip{clip}_{frame}.png")
    return load_images(folder, "whole", (16, 16))


@pytest.mark.slow
def test_with_groups_the_test_accuracy_is_the_honest_one(clips):
    found = {}
    for group in ("", r"clip(\d+)_"):
        training = train(clips, TrainingSettings(**{**vars(SMALL), "group": group}))
        found[group] = evaluate(training.classifier, training.images.subset("test")).accuracy
        splits = training.images.split
        clip_of = [source.split("_")[0] for source in clips.sources]
        straddling = {clip for clip, split in zip(clip_of, splits, strict=True) if split == 2} & {
            clip for clip, split in zip(clip_of, splits, strict=True) if split != 2
        }
        assert bool(straddling) == (not group)
    leaking, honest = found.values()
    assert leaking > 0.9
    assert honest < 0.75  # about 18 clips, each a toss of a coin
