"""Checks of labelled images before they are believed: findings on files, images, labels; their report."""
