"""Runs the command line as ``python -m tinysight``; knows nothing else."""

from .cli import main

main()
