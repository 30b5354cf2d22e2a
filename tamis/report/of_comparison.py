"""The report of a comparison as it lies in its folder."""

from pathlib import Path

from tamis.data.files import written_aside
from tamis.pipelines.comparisons import folder
from tamis.pipelines.results import Comparison
from tamis.report.comparison import comparison_view
from tamis.report.page import assets, environment

__all__ = ["write_comparison_report"]


def write_comparison_report(comparison: Comparison) -> Path:
    """Write the page of a comparison into its folder, and return its path."""
    path = folder(comparison.id) / "report.html"
    template = environment().get_template("comparison_page.html")
    page = template.render(view=comparison_view(comparison), **assets("page.css"))
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path
