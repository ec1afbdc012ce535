"""Keras's transfer learning as in its guides: a frozen network, pooling, dropout and one dense layer, for ten epochs.

Keras downloads the weights of its own networks, so the frozen network is the same EfficientNet-Lite0 as Tinysight's.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import folders
import keras
import numpy as np

from tinysight.training.efficientnet import efficientnet_lite0, folded_layers, set_pretrained
from tinysight.training.pretrained_weights import load_weights

EPOCHS = 10

keras.utils.set_random_seed(folders.seed)
train, validation = keras.utils.image_dataset_from_directory(
    folders.folder / "train",
    validation_split=0.2,
    subset="both",
    seed=folders.seed,
    image_size=(224, 224),
    batch_size=32,
    verbose=False,
)
test = keras.utils.image_dataset_from_directory(
    folders.folder / "test", image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
)
labels = np.concatenate([batch for _, batch in test])

base = efficientnet_lite0((224, 224, 3))  # with pooling
set_pretrained(base, folded_layers(load_weights()))
base.trainable = False
inputs = keras.Input((224, 224, 3))
x = base(keras.layers.Rescaling(1 / 255)(inputs), training=False)
x = keras.layers.Dropout(0.2)(x)
model = keras.Model(inputs, keras.layers.Dense(len(train.class_names))(x))
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(train.prefetch(1), validation_data=validation.prefetch(1), epochs=EPOCHS, verbose=0)
folders.report(model.predict(test, verbose=0).argmax(1), labels)
