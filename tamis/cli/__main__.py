"""`python -m tamis.cli`, as `tamis`."""

from tamis.cli import main

main()
