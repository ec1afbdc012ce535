"""scikit-image's HOG features of 64×64 grey pixels and logistic regression of scikit-learn, with their defaults."""

import folders
import numpy as np
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x_train, y_train = folders.load("train", 64)
x_test, y_test = folders.load("test", 64)
x_train = np.stack([hog(image) for image in x_train])
x_test = np.stack([hog(image) for image in x_test])

model = make_pipeline(StandardScaler(), LogisticRegression(random_state=folders.seed))
model.fit(x_train, y_train)
folders.report(model.predict(x_test), y_test)
