"""scikit-learn's logistic regression on 28×28 pixels, behind a scaler, as its page "Getting Started" has it."""

import folders
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mode = "RGB" if folders.in_colour() else "L"
x_train, y_train = folders.load("train", 28, mode)
x_test, y_test = folders.load("test", 28, mode)
x_train, x_test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)

model = make_pipeline(StandardScaler(), LogisticRegression(random_state=folders.seed))
model.fit(x_train, y_train)
folders.report(model.predict(x_test), y_test)
