"""Recipes: YAML a person writes, typed objects the program runs.

An unknown key, method or setting is an error that names the line and the nearest right
name. Paths in a recipe are taken from the working directory.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, WithJsonSchema

from tamis.errors import RecipeError, SettingError, did_you_mean
from tamis.pipelines.engines import kind_and_address
from tamis.pipelines.lines import Lines, Place
from tamis.prompting import generation
from tamis.prompting.generation.base import Generator
from tamis.prompting.generation.configure import CALL
from tamis.prompting.generation.configure import check_setting as check_generation
from tamis.prompting.generation.configure import generator as configured_generator
from tamis.selectors import get, names
from tamis.selectors.base import Budget, Selector
from tamis.selectors.configure import check_setting, configured

__all__ = ["Recipe", "Step", "shipped"]


class Step(BaseModel):
    """One method of a recipe, with how many it keeps and its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Annotated[str, WithJsonSchema({"type": "string", "enum": names()})]
    k: int | float | None = None
    settings: dict[str, Any] = {}

    def as_written(self) -> str | dict[str, Any]:
        """Return the step as one writes it in a recipe."""
        given = {**({} if self.k is None else {"k": self.k}), **self.settings}
        return {self.method: given} if given else self.method


class Generation(Step):
    """One generator of a recipe, with its settings and how many it makes; `k` is not its."""

    method: str


class Models(BaseModel):
    """The models that steps use where they name none of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lm: str = "bundled"
    embedder: str = "bundled"
    judge: str = "bundled"


class Compare(BaseModel):
    """Whether what the recipe keeps trains better than random draws, and than other methods.

    Attributes
    ----------
    against : str or list
        Methods beside the recipe; random draws are always there.
    seeds, draws, proxy, epochs, learning_rate, lora, test, held_out, near
        As `tamis.compare` takes them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    against: str | tuple[str | dict[str, dict[str, Any]], ...] = "random"
    seeds: int = 3
    draws: int | None = None
    proxy: str = "bundled"
    epochs: int = 1
    learning_rate: float | None = None
    lora: int | None = None
    test: str | None = None
    held_out: int = 200
    near: float = 0.8

    @property
    def methods(self) -> list[tuple[str, dict[str, Any]]]:
        """What is compared, each with its settings."""
        entries = [self.against] if isinstance(self.against, str) else self.against
        named: list[dict[str, Any]] = [
            {one: {}} if isinstance(one, str) else one for one in entries
        ]
        return [(name, settings or {}) for entry in named for name, settings in entry.items()]


class Recipe(BaseModel):
    """What to curate, and how: a pool, an optional target, and the steps in order.

    Attributes
    ----------
    name : str
        Runs of one name are one lineage; `curated` shows the newest of each.
    pool, target : str or None
        Anything `tamis.load` takes as text. A run can give both.
    generate : Generation, optional
        A generator and its settings: what it makes from the pool is then the pool.
    format, columns
        As in `tamis.load`, for a pool whose columns are not recognised.
    seed : int
        Of every step that draws and names none of its own.
    strict : bool
        Make an unreadable row an error instead of setting it aside.
    steps : list of Step
    compare : Compare, optional
        Whether what is kept trains better than random draws; needs a target.
    licences : dict of str to str
        Licence of each source, for rows that have no column `licence` or `license`.
    mask : bool
        Put '[email]' and the like in the place of personal data in what is exported.
    export : list of str
        Files to write the curated set to, and data sets of the hub (hf://org/name, private).
    engine : str
        Where it runs: 'local', 'ray' or 'ray:ADDRESS'. Never changes who is chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    pool: str | None = None
    target: str | None = None
    generate: Generation | None = None
    format: str | None = None
    columns: dict[str, str] | None = None
    seed: int = 0
    strict: bool = False
    models: Models = Models()
    licences: dict[str, str] = {}
    mask: bool = False
    steps: tuple[Step, ...]
    compare: Compare | None = None
    export: tuple[str, ...] = ()
    engine: str = "local"
    _where: Lines = PrivateAttr()

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        k: Budget = None,
        settings: Mapping[str, object] | None = None,
        **given: object,
    ) -> Self:
        """Read a recipe file, or a shipped recipe by name.

        Parameters
        ----------
        source : str or Path
        k : int, float or None
            Instead of the last step's own.
        settings : mapping, optional
            Instead of the recipe's: 'seed' or 'deduplicate.near' to a value.
        **given
            Top-level keys instead of the recipe's: pool, target, format, columns, strict, engine.

        Raises
        ------
        RecipeError
            With file, line and the mend.
        """
        path, text = _text_of(source)
        return cls.parse(text, path, k=k, settings=settings, **given)

    @classmethod
    def parse(
        cls,
        text: str,
        path: str,
        *,
        k: Budget = None,
        settings: Mapping[str, object] | None = None,
        **given: object,
    ) -> Self:
        """Read a recipe's text as `load` does; `path` is what errors call it."""
        lines = Lines(path, text)
        raw = lines.mapping()
        raw.update({key: value for key, value in given.items() if value is not None})
        steps = raw["steps"] = _steps(raw.get("steps"), lines)
        if raw.get("generate") is not None:
            raw["generate"] = _entry(raw["generate"], ("generate",), lines, generation.get)
            if raw["generate"]["k"] is not None:
                raise lines.error(("generate",), "a generator has no k; say n, how many to make")
        for key, value in (settings or {}).items():
            _override(raw, key, value, lines)
        if k is not None:
            steps[-1]["k"] = k
        for number, step in enumerate(steps):
            _check_settings(step, ("steps", number), lines)
        if raw.get("generate") is not None:
            _check_settings(raw["generate"], ("generate",), lines, check_generation)
        try:
            recipe = cls.model_validate(raw)
        except ValidationError as error:
            raise lines.explained(error, _known_keys()) from None
        recipe._where = lines
        recipe._check_compare()
        recipe._check_engine()
        return recipe

    def _check_engine(self) -> None:
        try:
            kind_and_address(self.engine)
        except SettingError as error:
            raise self._where.error(("engine",), str(error)) from None

    def _check_compare(self) -> None:
        if self.compare is None:
            return
        if self.target is None:
            raise self._where.error(
                ("compare",), "compare needs a target; add `target: FILE`, or give --target FILE"
            )
        for method, settings in self.compare.methods:
            try:
                get(method)
                for name, value in settings.items():
                    check_setting(method, name, value)
            except SettingError as error:
                raise self._where.error(("compare", "against"), str(error)) from None

    def selectors(self, target: object = None) -> list[Selector]:
        """Build the selector of each step.

        Parameters
        ----------
        target : Dataset, optional
            For the steps that need one and name none of their own; by default the
            recipe's, loaded.
        """
        shared = self._lent(target)
        return [self._selector(number, step, shared) for number, step in enumerate(self.steps)]

    def generator(self) -> tuple[Generator[Any], dict[str, Any]] | None:
        """Build what makes the pool, and what its `generate` is called with; None for none."""
        if self.generate is None:
            return None
        call = {name: value for name, value in self.generate.settings.items() if name in CALL}
        own = {name: self.generate.settings[name] for name in self.generate.settings.keys() - call}
        try:
            return configured_generator(self.generate.method, own, self._lent()), call
        except SettingError as error:
            raise self._where.error(("generate",), str(error)) from None

    def _lent(self, target: object = None) -> dict[str, object]:
        """Return what every method uses that has a setting of the name and is given none."""
        return {
            "target": self.target if target is None else target,
            "seed": self.seed,
            **self.models.model_dump(),
        }

    def _selector(self, number: int, step: Step, lent: Mapping[str, object]) -> Selector:
        try:
            selector = configured(step.method, step.settings, lent)
        except SettingError as error:
            raise self._where.error(("steps", number), str(error)) from None
        if selector.needs_k and step.k is None:
            raise self._where.error(
                ("steps", number), f"{step.method} needs a k; write `{step.method}: {{k: 1000}}`"
            )
        return selector

    def as_yaml(self) -> str:
        """Return the recipe as YAML that loads to an equal one."""
        plain = self.model_dump(exclude_defaults=True, exclude={"steps", "generate"}, mode="json")
        if self.generate is not None:
            plain["generate"] = self.generate.as_written()
        plain["steps"] = [step.as_written() for step in self.steps]
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def shipped() -> dict[str, str]:
    """Return the recipes that come with tamis: name to YAML text."""
    folder = files("tamis.pipelines") / "recipes"
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def _known_keys() -> dict[str | int, Iterable[str]]:
    """Return the keys of a recipe, and of its parts."""
    models: dict[str | int, type[BaseModel]] = {"": Recipe, "models": Models, "compare": Compare}
    return {part: model.model_fields for part, model in models.items()}


def _text_of(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.is_file():
        try:
            return str(source), path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{source}: cannot be read ({error}); save it as UTF-8") from None
    known = shipped()
    if str(source) in known:
        return str(source), known[str(source)]
    raise RecipeError(
        f"{source}: no such file, and no shipped recipe; {did_you_mean(str(source), known)}"
    )


def _steps(raw: object, lines: Lines) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not raw:
        raise lines.error(("steps",), "steps must be a list of methods, such as `- clean`")
    return [_entry(entry, ("steps", number), lines, get) for number, entry in enumerate(raw)]


def _entry(
    entry: object, place: Place, lines: Lines, known: Callable[[str], object]
) -> dict[str, Any]:
    """Read a method with its settings; `known` raises for one that does not exist."""
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise lines.error(place, "a step is a method, or `method: {setting: value}`")
    ((method, settings),) = entry.items()
    if not isinstance(method, str):
        raise lines.error(place, f"{method!r} is no method; give its name, such as `- clean`")
    try:
        known(method)
    except SettingError as error:
        raise lines.error(place, str(error)) from None
    if settings is not None and not (
        isinstance(settings, dict) and all(isinstance(name, str) for name in settings)
    ):
        raise lines.error(
            place,
            f"the settings of {method} are not `setting: value` pairs; mind the space after ':'",
        )
    settings = dict(settings or {})
    return {"method": method, "k": settings.pop("k", None), "settings": settings}


def _override(raw: dict[str, Any], key: str, value: object, lines: Lines) -> None:
    step, dot, setting = key.rpartition(".")
    if not dot:
        if key not in Recipe.model_fields or key == "steps":
            known = [name for name in Recipe.model_fields if name != "steps"]
            raise RecipeError(f"--set {key}: no such key; {did_you_mean(key, known)}")
        raw[key] = value
        return
    entries = [*raw["steps"], *([raw["generate"]] if raw.get("generate") else [])]
    matching = [entry for entry in entries if entry["method"] == step]
    if not matching:
        methods = {entry["method"] for entry in entries}
        raise RecipeError(
            f"--set {key}: {lines.path} has no step '{step}'; {did_you_mean(step, methods)}"
        )
    for entry in matching:
        if setting == "k":
            entry["k"] = value
        else:
            entry["settings"][setting] = value


def _check_settings(
    step: dict[str, Any],
    place: Place,
    lines: Lines,
    check: Callable[[str, str, object], None] = check_setting,
) -> None:
    method = step["method"]
    for name, value in step["settings"].items():
        try:
            check(method, name, value)
        except SettingError as error:
            raise lines.error((*place, method, name), str(error)) from None
    k = step["k"]
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | float) or k != k):
        raise lines.error(
            (*place, method, "k"), f"k is {k!r}; give a number, or a share such as 0.1"
        )
