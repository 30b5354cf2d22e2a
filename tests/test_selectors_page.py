from pathlib import Path

import tamis

PAGE = Path(__file__).parent.parent / "docs" / "selectors.md"


def rows():
    lines = PAGE.read_text("utf-8").splitlines()
    table = lines[lines.index("| method | keeps | needs | a million rows | fails when |") + 2 :]
    end = next(i for i, line in enumerate(table) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[:end]]


def test_every_method_has_a_row_that_says_what_it_costs_and_when_it_fails():
    named = {row[0].strip("`").split()[0] for row in rows()}
    assert named == set(tamis.selectors.names())
    assert all(len(row) == 5 and row[3] and row[4] for row in rows())
