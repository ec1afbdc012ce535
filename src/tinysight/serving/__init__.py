"""The HTTP service and the drawing page; does not know training, and reads no file that a request names."""
