"""The small convnet of the tutorial "Image classification" at 64×64, with early stopping."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import folders
import keras
import numpy as np

keras.utils.set_random_seed(folders.seed)
train, validation = keras.utils.image_dataset_from_directory(
    folders.folder / "train",
    validation_split=0.2,
    subset="both",
    seed=folders.seed,
    image_size=(64, 64),
    batch_size=32,
    verbose=False,
)
test = keras.utils.image_dataset_from_directory(
    folders.folder / "test", image_size=(64, 64), batch_size=32, shuffle=False, verbose=False
)
labels = np.concatenate([batch for _, batch in test])

model = keras.Sequential(
    [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(len(train.class_names)),
    ]
)
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(
    train.cache().shuffle(1_000).prefetch(1),
    validation_data=validation.cache().prefetch(1),
    epochs=folders.max_epochs,
    callbacks=[keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)],
    verbose=0,
)
folders.report(model.predict(test, verbose=0).argmax(1), labels)
