"""The study of overfitting and of its remedies: settings, trainings, results, report."""
