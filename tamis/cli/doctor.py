"""`tamis doctor`: what works here."""

from tamis.cli.app import AsJson, command
from tamis.cli.screen import print_json, print_table


@command("tamis doctor")
def doctor(as_json: AsJson = False) -> None:
    """Say what works here, and what to install for the rest."""
    from tamis.pipelines.doctor import examine

    found = examine()
    if as_json:
        print_json([item.as_plain() for item in found])
        return
    print_table(
        "tamis doctor",
        ["what", "here", "mend"],
        [[item.what, ("✓ " if item.usable else "✗ ") + item.found, item.mend] for item in found],
    )
