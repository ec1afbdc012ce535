"""The HTTP service: predictions, the Open Inference Protocol, metrics and the drawing page."""
