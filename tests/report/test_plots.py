import re

import numpy as np

from tamis.report.figures import length_shape, score_shape
from tamis.report.plots import spread


def test_a_plot_brings_no_style_no_id_and_nothing_from_elsewhere(step):
    drawn = spread(score_shape(step(np.arange(50.0), range(40, 50)).selection), label="a")
    assert not re.search(r"style|\bid=|href|<metadata|<defs|<!|<\?", drawn)
    assert set(re.findall(r'class="([\w-]+)"', drawn)) == {
        "plot", "kept", "dropped", "kept-line", "dropped-line", "grid"
    }  # fmt: skip


def test_a_label_is_escaped(step):
    shape = score_shape(step([1.0, 2.0], [0]).selection)
    assert 'aria-label="&lt;b&gt;&#34;"' in spread(shape, label='<b>"')


def test_the_same_numbers_give_the_same_bytes(step):
    shape = score_shape(step(np.arange(50.0), range(9)).selection)
    assert spread(shape, label="a") == spread(shape, label="a")


def test_lengths_have_round_numbers_on_their_axis():
    lengths = np.geomspace(20, 4_000, 500).astype(int)
    drawn = spread(length_shape(lengths, lengths > 99), label="a", logarithmic=True)
    ticks = re.findall(r">([\d,]+)</text>", drawn)
    assert ticks == ["30", "100", "300", "1,000", "3,000"]
