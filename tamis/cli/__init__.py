"""The command line: results on stdout, progress and errors on stderr.

One command a file. Exit codes: 0 done, 1 the run failed, 2 the call was wrong. An error is
one line, with the mend; `--debug` shows the traceback.
"""

from importlib import import_module

from tamis.cli.app import app, main, process

__all__ = ["app", "main", "process"]

# Importing a file adds its command to `app`; this is the order of the help.
for _name in (
    "run",
    "plan",
    "select",
    "compare",
    "generate",
    "compress",
    "runs",
    "explain",
    "sql",
    "report",
    "ui",
    "export",
    "deploy",
    "serve",
    "diff",
    "tidy",
    "forget",
    "doctor",
):
    import_module(f"tamis.cli.{_name}")
