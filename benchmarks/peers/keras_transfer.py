"""Keras's transfer learning as in its guides: a frozen network, pooling, dropout and one dense layer, for ten epochs.

It has random instead of pretrained weights, which would have to be downloaded: only its time is of use.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import folders
import keras
import numpy as np

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

base = keras.applications.MobileNetV2(input_shape=(224, 224, 3), include_top=False, weights=None)
base.trainable = False
inputs = keras.Input((224, 224, 3))
x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
x = keras.layers.Dropout(0.2)(x)
model = keras.Model(inputs, keras.layers.Dense(len(train.class_names))(x))
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(train.prefetch(1), validation_data=validation.prefetch(1), epochs=EPOCHS, verbose=0)
folders.report(model.predict(test, verbose=0).argmax(1), labels)
