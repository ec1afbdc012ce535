"""Turns a study's result into one self-contained HTML page without scripts."""

from .results import StudyResult


def render_study(result: StudyResult) -> str:
    return ""
