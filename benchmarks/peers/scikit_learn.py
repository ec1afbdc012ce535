"""scikit-learn's MLPClassifier with its defaults, except for the layer widths; one `partial_fit` is one epoch."""

import mnist
import numpy as np
from sklearn.neural_network import MLPClassifier

x_train, y_train, x_test, y_test = mnist.load()
x_train, x_test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)

model = MLPClassifier(hidden_layer_sizes=(784, 512), random_state=mnist.seed)
classes = np.unique(y_train)
mnist.run(lambda: model.partial_fit(x_train, y_train, classes=classes), lambda: model.score(x_test, y_test))
