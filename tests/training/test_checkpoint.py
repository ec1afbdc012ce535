from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.loading import load_images
from tinysight.errors import SettingsError
from tinysight.training import checkpoint
from tinysight.training.checkpoint import Checkpoint
from tinysight.training.settings import TrainingSettings
from tinysight.training.train import train

SMALL = TrainingSettings(recipe="fast", hidden=(32, 16), epochs=4, dropout=0.2)


class KilledError(Exception):
    pass


def kill_after(epoch):
    def on_epoch(result):
        if result.epoch == epoch:
            raise KilledError

    return on_epoch


@pytest.fixture(scope="module")
def digits():
    return load_images("digits").rows(np.arange(600))


@pytest.fixture(autouse=True)
def each_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"ema_momentum": 0.9, "batch_norm": False}])
def test_a_killed_training_goes_on_to_the_same_bytes(digits, tmp_path, changes):
    settings = replace(SMALL, **changes)
    undisturbed = train(digits, settings)
    with pytest.raises(KilledError):
        train(digits, settings, kill_after(3), checkpoint=Checkpoint(tmp_path / "state"))
    epochs = []
    resumed = train(
        digits, settings, lambda result: epochs.append(result.epoch), checkpoint=Checkpoint(tmp_path / "state", True)
    )
    assert epochs == [3, 4]
    assert resumed.classifier.file_bytes == undisturbed.classifier.file_bytes
    assert [replace(epoch, seconds=0) for epoch in resumed.history] == [
        replace(epoch, seconds=0) for epoch in undisturbed.history
    ]


def test_another_training_is_not_gone_on_with(digits, tmp_path):
    settings = SMALL.resolved(400)
    kept = Checkpoint(tmp_path / "state", resume=True)
    assert kept.read(settings, digits) is None
    kept.write({"array": np.arange(3)}, settings, digits)
    np.testing.assert_array_equal(kept.read(settings, digits)["array"], np.arange(3))
    assert Checkpoint(tmp_path / "state").read(settings, digits) is None
    with pytest.raises(SettingsError, match=r"has dropout 0\.2 instead of 0\.5; repeat that command"):
        kept.read(replace(settings, dropout=0.5), digits)
    with pytest.raises(SettingsError, match="has images"):
        kept.read(settings, digits.rows(np.arange(500)))
    kept.path.write_bytes(kept.path.read_bytes()[:-100])
    with pytest.raises(SettingsError, match="damaged"):
        kept.read(settings, digits)
    kept.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_cannot_be_written_stops_nothing(digits, tmp_path):
    Checkpoint(tmp_path / "missing" / "state").write({}, SMALL.resolved(400), digits)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_keep_a_distance_in_time(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 100)
    assert not Checkpoint(tmp_path / "state").is_due()
