import numpy as np
import pytest
from doubles import Numbers, Spelling, pool_at

from tamis.selectors import IFD, FacilityLocation, chain


def test_keeps_what_stands_for_the_others():
    # Directions at 0, 10, 20 and 90 degrees: 20 is nearest to all, then 90 is the least like it.
    angles = np.deg2rad([0, 10, 20, 90])
    pool = pool_at(*np.stack([np.cos(angles), np.sin(angles)], axis=1).round(9).tolist())
    picked = FacilityLocation(embedder=Numbers()).select(pool, 2)
    assert picked.indices.tolist() == [2, 3]
    assert picked.scores[[2, 3]] == pytest.approx(
        [np.cos(angles[2] - angles).sum(), 1 - np.sin(angles[2])], abs=1e-6
    )
    assert picked.signals["similarity"].to_numpy() == pytest.approx(
        np.cos([angles[2], angles[1], 0, 0]), abs=1e-6
    )
    assert picked.reasons.tolist() == ["stood for by a kept example"] * 2 + ["kept"] * 2


def test_length_does_not_matter():
    short, long = pool_at([1, 0], [0, 1], [1, 1]), pool_at([9, 0], [0, 2], [5, 5])
    assert (
        FacilityLocation(embedder=Numbers()).select(short, 1).indices.tolist()
        == FacilityLocation(embedder=Numbers()).select(long, 1).indices.tolist()
        == [2]
    )


def test_an_example_without_a_direction_is_not_kept():
    picked = FacilityLocation(embedder=Numbers()).select(pool_at([1, 0], [0, 0], [""]), 3)
    assert picked.indices.tolist() == [0]
    assert picked.reasons.tolist() == ["kept", "no embedding", "no embedding"]
    nowhere = FacilityLocation(embedder=Numbers()).select(pool_at([0, 0], [0, 0]), 1)
    assert len(nowhere) == 0


def test_after_ifd_it_is_superfiltering_d():
    said = [{"prompt": f"{'x' * n} 1", "response": f"{n} {'a' * n} b"} for n in range(1, 41)]
    picked = chain(IFD(lm=Spelling(), share=0.2), FacilityLocation(embedder=Numbers())).select(
        said, 2
    )
    assert len(picked) == 2
    # A fifth of 40 is 8: two of them are kept.
    assert sum(reason == "stood for by a kept example" for reason in picked.reasons) == 6
