"""`python -m tamis.cli`, as `tamis`."""

from tamis.cli import process

process()
