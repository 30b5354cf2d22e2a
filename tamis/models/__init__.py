"""Language models, embedders and judges, named by one string and loaded when first asked for.

>>> import tamis
>>> tamis.models.load("transformer:gpt2")
Traceback (most recent call last):
tamis.errors.SettingError: no backend 'transformer'; did you mean 'transformers'?
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.errors import ModelError, SettingError
from tamis.models.names import ModelName, one_of

if TYPE_CHECKING:
    from tamis.models.base import Embedder, LanguageModel
    from tamis.models.judges import Judge

__all__ = ["bundled", "load", "load_embedder", "load_judge"]

LANGUAGE_MODELS = {
    "bundled": "tamis.models.transformers:TransformersLM",
    "openai": "tamis.models.openai:OpenAILM",
    "transformers": "tamis.models.transformers:TransformersLM",
    "vllm": "tamis.models.vllm:VLLM",
}
EMBEDDERS = {
    "bundled": "tamis.models.static:StaticEmbedder",
    "openai": "tamis.models.openai:OpenAIEmbedder",
    "sentence-transformers": "tamis.models.sentence_transformers:SentenceTransformersEmbedder",
    "transformers": "tamis.models.transformers:TransformersEmbedder",
    "vllm": "tamis.models.vllm:VLLMEmbedder",
}
JUDGES = {
    "bundled": "tamis.models.quality:QualityScorer",
    "reward": "tamis.models.reward:RewardModel",
}


def load(model: str, **options: Any) -> "LanguageModel":  # noqa: ANN401 - the backend's own
    """Load a language model.

    Parameters
    ----------
    model : str
        'bundled', or a backend and its model: 'transformers:Qwen/Qwen2.5-0.5B',
        'vllm:Qwen/Qwen2.5-7B-Instruct', 'openai:gpt-4o-mini'. Options follow a question
        mark ('vllm:ID?tensor_parallel_size=2&quantization=awq').
    **options
        The same options as keywords, which win. Each backend's class says which it knows;
        what it does not know goes to the library behind it.

    Raises
    ------
    SettingError
        If the string is wrong.
    MissingExtraError
        If the backend is not installed.
    ModelError
        If the model cannot be loaded.
    """
    return _load(one_of(model, LANGUAGE_MODELS), LANGUAGE_MODELS, "lm", options)  # type: ignore[no-any-return]


def load_embedder(model: str, **options: Any) -> "Embedder":  # noqa: ANN401 - the backend's own
    """Load an embedder; as `load`, with 'sentence-transformers:all-MiniLM-L6-v2' and the like."""
    return _load(one_of(model, EMBEDDERS), EMBEDDERS, "embedder", options)  # type: ignore[no-any-return]


def load_judge(model: str, *, dimension: str | None = None, **options: Any) -> "Judge":  # noqa: ANN401
    """Load a judge of answers.

    Parameters
    ----------
    model : str
        'bundled', the quality scorer that ships with tamis and needs no language model;
        'reward:MODEL', a reward model; or a language model as for `load`, which is asked
        for a grade.
    dimension : str, optional
        What a language model grades: 'accuracy' (the default), 'helpfulness', ….
    **options
        As for `load`.

    Raises
    ------
    SettingError, MissingExtraError, ModelError
        As for `load`; or if a judge that is no language model is given a dimension.
    """
    name = one_of(model, LANGUAGE_MODELS | JUDGES)
    if name.backend not in JUDGES:
        from tamis.models.judges import LMJudge

        return LMJudge(load(model, **options), dimension=dimension or "accuracy")
    if dimension is not None:
        raise SettingError(
            f"{model}: dimension='{dimension}', but it has one opinion; "
            "leave dimension out, or give a language model"
        )
    return _load(name, JUDGES, "quality", options)  # type: ignore[no-any-return]


def bundled(part: str) -> Path:
    """Return the folder of a model that ships: 'lm', 'embedder', 'quality' or 'compressor'.

    Raises
    ------
    ModelError
        If this copy of tamis ships none.
    """
    folder = Path(__file__).parent / "bundled" / part
    if not folder.is_dir():
        raise ModelError(
            f"bundled: this copy of tamis ships no {part}; name another model, "
            "as in transformers:Qwen/Qwen2.5-0.5B or sentence-transformers:all-MiniLM-L6-v2"
        )
    return folder


def _load(name: ModelName, backends: dict[str, str], part: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
    model = str(bundled(part)) if name.backend == "bundled" else name.model
    module, _, class_name = backends[name.backend].partition(":")
    loaded = getattr(import_module(module), class_name)(model, **name.options | options)
    loaded.loaded_by = _Loading(name, backends, part, options)
    return loaded


class _Loading:
    """What loads a model again, in another process; an API key among its options is not shown."""

    def __init__(self, name: ModelName, *given: Any) -> None:  # noqa: ANN401 - as `_load` takes it
        self._name, self._given = name, given

    def __repr__(self) -> str:
        return f"_Loading({self._name})"

    def __call__(self) -> Any:  # noqa: ANN401
        return _load(self._name, *self._given)
