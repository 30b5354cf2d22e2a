import base64

from matplotlib.figure import Figure

from tamis.flows.artifacts import as_image


def test_a_figure_becomes_an_address_that_is_the_picture():
    kind, _, picture = as_image(Figure(figsize=(1, 1))).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")
