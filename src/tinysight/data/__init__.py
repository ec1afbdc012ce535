"""Labelled images: loaded, cached and split."""
