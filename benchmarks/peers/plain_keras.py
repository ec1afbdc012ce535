"""The tutorial's Keras program: `fit` with its defaults."""

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
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
mnist.run(
    lambda: model.fit(x_train, y_train, verbose=0),
    lambda: model.evaluate(x_test, y_test, verbose=0)[1],
)
