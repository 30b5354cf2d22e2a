"""What Prefect's own page shows of a run."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact

from tamis.pipelines import comparisons
from tamis.pipelines.curves import curves
from tamis.pipelines.steps import Outcome

__all__ = ["as_image", "publish"]


def publish(run_id: str, outcomes: Sequence[Outcome], page: str) -> None:
    """Show the steps, the comparison and the way to the report in Prefect's own page."""
    rows = [
        {
            "step": f"{outcome.number} {outcome.method}",
            "rows": outcome.rows,
            "kept": outcome.kept,
            "seconds": round(outcome.seconds, 2),
            "reused": outcome.reused,
        }
        for outcome in outcomes
    ]
    create_table_artifact(table=rows, key="tamis-steps", description=f"Steps of run {run_id}")
    create_link_artifact(
        link=Path(page).as_uri(), key="tamis-report", link_text=f"Report of {run_id}"
    )
    comparison = comparisons.of_run(run_id)
    if comparison is not None:
        create_image_artifact(
            image_url=as_image(curves(comparison)),
            key="tamis-comparison",
            description=f"Does what run {run_id} kept train better than a random draw?",
        )


def as_image(figure: Figure) -> str:
    """Return a figure as an address that is the picture itself: Prefect's page shows it."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    return f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"
