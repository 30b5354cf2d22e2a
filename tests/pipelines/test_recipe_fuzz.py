"""Whatever stands in a recipe: it is one, or the error is a line of ours."""

import pytest
import yaml
from fuzzing import a_line_at_most, tries
from hypothesis import given
from hypothesis import strategies as st

from tamis.errors import RecipeError
from tamis.pipelines.recipe import Recipe
from tamis.selectors import names

GOOD = """\
name: mine
pool: pool.jsonl
target: wanted.jsonl
seed: 3
models: {lm: bundled}
steps:
  - clean
  - deduplicate: {near: 0.9}
  - random: {k: 10, seed: 1}
compare: {against: random, seeds: 3}
export: [out/mine.parquet]
"""
KEYS = [*Recipe.model_fields, "k", "lm", "near", "against", "seeds"]
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from([*KEYS, *names(), "bundled", "a\nb", "\x1b[31m", "x" * 5000])
    | st.text(max_size=8)
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, *names(), 1, None, "a\nb"]), inner, max_size=3)
    ),
    max_leaves=6,
)
steps = st.lists(
    st.dictionaries(st.sampled_from(names()), values, min_size=1, max_size=1) | values, max_size=3
)
recipes = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)
bits = st.one_of(
    st.sampled_from(
        ["&a ", "*a", "<<: ", "? ", "- ", ": ", "{", "}", "[", "]", ">\n", "---\n", ".inf"]
    ),
    st.sampled_from(
        ["!!set ", "!!bool ", "!!python/name:os.system ", "!!binary ", "2001-13-45", '"\\ud800"']
    ),
    st.sampled_from(["\0", "\ufeff", "'", "%", "@", "\t", "\n", "9" * 5000, "[" * 2000]),
)


def check(text):
    with a_line_at_most():
        recipe = Recipe.parse(text, "a.yaml")
        assert recipe.as_yaml().encode()
        recipe.selectors()


@tries(100)
@given(recipes, steps)
def test_any_data_is_a_recipe_or_a_line(data, some):
    check(yaml.safe_dump({"name": "mine", "steps": some, **data}, allow_unicode=True))


@tries(100)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 5), bits), max_size=4))
def test_any_slip_of_the_pen_is_a_recipe_or_a_line(slips):
    text = GOOD
    for place, left_out, bit in slips:
        text = text[:place] + bit + text[place + left_out :]
    check(text)


def bomb():
    """Return a few lines that stand for 10 ** 9 values."""
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(["l0: &l0 [x]", *levels])


STRANGE = {
    "a list in itself": "&a [*a]",
    "a name in itself": "name: &a [*a]",
    "a list as a key": "? [a]\n: b",
    "a mapping as a key": "? {a: b}\n: c",
    "no day of the calendar": "name: 2001-13-45",
    "a number without end": "seed: " + "9" * 5000,
    "brackets without end": "[" * 5000,
    "a bomb": bomb(),
    "no truth": "name: !!bool x",
    "no number": "name: !!int ''",
    "a number as a method": "name: a\nsteps: [1]",
    "a number with settings": "name: a\nsteps: [{1: 2}]",
    "nothing with settings": "name: a\nsteps: [{null: 2}]",
    "a number as a setting": "name: a\nsteps:\n  - random: {1: 2}",
    "no number as k": "name: a\nsteps: [{clean: {k: .nan}}]",
    "a line's end in a method": 'name: a\nsteps: ["cle\\nan"]',
    "an escape in a method": 'name: a\nsteps: ["cle\\x1ban"]',
    "half a letter": 'name: a\nsteps: [clean]\npool: "\\ud800"',
    "a word of 100,000 letters": f"name: a\nsteps: [{'x' * 100_000}]",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_a_strange_text_is_an_error_of_one_line(text):
    with pytest.raises(RecipeError) as raised:
        Recipe.parse(text, "a.yaml").selectors()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1100
