"""The tutorial's program: Keras, `fit` with its defaults, until the test accuracy first reaches the goal."""

import gzip
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

goal, seed = float(sys.argv[1]), int(sys.argv[2])
folder = Path(os.environ["TINYSIGHT_DATA"]) / "mnist"


def read(name, offset):
    return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=offset)


x_train = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / 255
y_train = keras.utils.to_categorical(read("train-labels-idx1-ubyte.gz", 8))
x_test = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / 255
y_test = keras.utils.to_categorical(read("t10k-labels-idx1-ubyte.gz", 8))

keras.utils.set_random_seed(seed)
model = keras.Sequential(
    [
        keras.layers.Flatten(),
        keras.layers.Dense(784, activation="relu"),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
for epoch in range(1, 51):  # noqa: B007 - printed below
    model.fit(x_train, y_train, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    if accuracy >= goal:
        break
print(f"plain Keras, seed {seed}: {accuracy:.2%} after {epoch} epochs")
