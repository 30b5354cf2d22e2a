"""The explorer: a window on the catalogue in a browser (`tamis ui`).

It shows the runs, what each step of one kept, a map of its pool, its rows with what was said
of them, and what changed between two runs. It changes nothing, asks the network for nothing,
and needs no build. `tamis.ui.app.serve` runs it; `explorer` is the ASGI application.
"""
