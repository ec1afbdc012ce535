"""scikit-image's HOG features of 64×64 grey pixels and a support vector machine of scikit-learn, with their defaults.

scikit-learn's documentation advises LinearSVC instead of SVC for more than some ten thousand images.
"""

import folders
import numpy as np
from skimage.feature import hog
from sklearn.svm import SVC, LinearSVC

x_train, y_train = folders.load("train", 64)
x_test, y_test = folders.load("test", 64)
x_train = np.stack([hog(image) for image in x_train])
x_test = np.stack([hog(image) for image in x_test])

model = SVC() if len(x_train) <= 10_000 else LinearSVC(random_state=folders.seed)
model.fit(x_train, y_train)
folders.report(model.predict(x_test), y_test)
