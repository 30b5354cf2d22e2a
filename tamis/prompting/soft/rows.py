"""Rows to be learnt: what is compressed, what follows it as it is, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from tamis.errors import DataError
from tamis.models.tokens import TextTokenizer
from tamis.models.transformers import TransformersLM
from tamis.prompting.soft.base import Ids

__all__ = ["Row", "rows_of"]


@dataclass(frozen=True, eq=False)
class Row:
    """An example as tokens.

    Attributes
    ----------
    context : int64 array
        Compressed; begins as the tokenizer begins a text.
    rest : int64 array
        Prompt and response.
    first : int
        Where in `rest` the response begins.
    """

    context: Ids
    rest: Ids
    first: int

    def __len__(self) -> int:
        return len(self.context) + len(self.rest)

    @property
    def content(self) -> list[object]:
        """What the row says, as JSON."""
        return [self.context.tolist(), self.rest.tolist(), self.first]


def rows_of(
    lm: TransformersLM,
    contexts: Sequence[str],
    prompts: Sequence[str],
    responses: Sequence[str],
) -> list[Row]:
    """Return examples as tokens, those that say something and fit the model's context.

    Raises
    ------
    DataError
        If there are not as many of each.
    """
    if not len(contexts) == len(prompts) == len(responses):
        raise DataError(
            f"{lm.name}: {len(contexts)} contexts, {len(prompts)} prompts and "
            f"{len(responses)} responses; give one each"
        )
    reader = TextTokenizer(lm.tokenizer, lm.name)
    rows = [
        Row(context.ids, both.ids[len(reader.leading) :], both.start - len(reader.leading))
        for context, both in zip(
            reader.encode(contexts), reader.encode(prompts, responses), strict=True
        )
    ]
    return [row for row in rows if row.first < len(row.rest) and len(row) < lm.context]
