"""The tutorial's Keras program with two more arguments: Tinysight's batch size, and compilation by XLA."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import mnist

x_train, y_train, x_test, y_test = mnist.load()
y_train, y_test = keras.utils.to_categorical(y_train), keras.utils.to_categorical(y_test)

keras.utils.set_random_seed(mnist.seed)
model = keras.Sequential(
    [
        keras.layers.Flatten(),
        keras.layers.Dense(784, activation="relu"),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"], jit_compile=True)
mnist.run(
    lambda: model.fit(x_train, y_train, batch_size=256, verbose=0),
    lambda: model.evaluate(x_test, y_test, batch_size=1_000, verbose=0)[1],
)
