"""The text of a recipe, line by line, so that an error can say where it is."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from tamis.errors import RecipeError, did_you_mean

__all__ = ["Lines", "Place"]

Place = tuple[str | int, ...]

_MOST_NODES = 100_000


class Lines:
    """The text of a recipe, and the line of every key in it."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._line: dict[Place, int] = {}
        self._nodes = 0
        try:
            self._root = yaml.compose(text, yaml.SafeLoader)
            if self._root is not None:
                self._note(self._root, ())
            self._plain = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise RecipeError(f"{path}, line {line}: not YAML ({error.problem})") from None
        except yaml.YAMLError as error:
            raise RecipeError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
        except RecipeError:
            raise
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            # What PyYAML lets through: `2001-13-45`, `!!bool x`, a list that holds itself.
            said = str(error) or type(error).__name__
            raise RecipeError(f"{path}: not YAML that can be read ({said})") from None

    def __eq__(self, other: object) -> bool:
        """Where a recipe was written does not make it another recipe."""
        return isinstance(other, Lines)

    __hash__ = None  # type: ignore[assignment]

    def mapping(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        if not isinstance(self._plain, dict):
            raise RecipeError(
                f"{self.path}, line 1: a recipe is `key: value` lines, such as `name: mine`"
            )
        return dict(self._plain)

    def error(self, place: Place, message: str) -> RecipeError:
        """Return the error for what stands at `place`."""
        at = place
        while at and at not in self._line:
            at = at[:-1]
        line = f", line {self._line[at]}" if at else ""
        return RecipeError(f"{self.path}{line}: {message}")

    def explained(
        self, error: ValidationError, known: Mapping[str | int, Iterable[str]]
    ) -> RecipeError:
        """Return the first of pydantic's complaints in a line of our own.

        `known` has the keys of each part of a recipe; those of the recipe itself under ''.
        """
        first = error.errors()[0]
        place = tuple(first["loc"])
        name = ".".join(map(str, place))
        if first["type"] == "extra_forbidden":
            right = known.get(place[0], known[""])
            return self.error(place, f"no key '{name}'; {did_you_mean(str(place[-1]), right)}")
        if first["type"] == "missing":
            return self.error(place, f"'{name}' is missing; add `{name}: …`")
        return self.error(place, f"{name} is {first['input']!r}; {_as_clause(first['msg'])}")

    def _note(self, node: yaml.Node, place: Place) -> None:
        self._line.setdefault(place, node.start_mark.line + 1)
        self._nodes += 1
        if self._nodes > _MOST_NODES:  # a few aliases of aliases stand for more than any memory
            raise RecipeError(f"{self.path}: more than {_MOST_NODES:,} values; is it a recipe?")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise RecipeError(f"{self.path}, line {line}: a key is a word; write `key: …`")
                here = (*place, key.value)
                if here in self._line:
                    raise RecipeError(
                        f"{self.path}, line {line}: '{key.value}' stands twice "
                        f"(first in line {self._line[here]}); keep one"
                    )
                self._line[here] = line
                self._note(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._note(value, (*place, number))
        elif any("\ud800" <= letter <= "\udfff" for letter in node.value):
            line = node.start_mark.line + 1
            raise RecipeError(f"{self.path}, line {line}: half a surrogate pair, which is no text")


def _as_clause(message: str) -> str:
    return message[:1].lower() + message[1:]
