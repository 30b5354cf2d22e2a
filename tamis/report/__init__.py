"""The report: one self-contained HTML page a run, opened from disk, without a network.

`write_report(view, path)` is all there is. What it shows is a `RunView`: plain facts, the
pool, and one `StepView` a step. It knows nothing of recipes, flows or the command line.
"""

from tamis.report.page import write_report
from tamis.report.view import RunView, StepView

__all__ = ["RunView", "StepView", "write_report"]
