"""Where a recipe runs: in threads of this process, or on Ray. The same rows are kept on either."""

from collections.abc import Iterator
from contextlib import contextmanager

from tamis.data.batches import Engine, LocalEngine
from tamis.errors import SettingError, did_you_mean
from tamis.models import LANGUAGE_MODELS

__all__ = ["engine_of", "kind_and_address", "opened"]

_NAMES = ("local", "ray")


def engine_of(name: str, *, workers: int = 1) -> Engine:
    """Return the engine of this name.

    Parameters
    ----------
    name : str
        'local', 'ray' (the cluster that RAY_ADDRESS names, or a Ray of its own on this
        machine), or 'ray:ADDRESS', such as 'ray:10.0.0.7:6379' and 'ray:auto'.
    workers : int
        Threads; on a Ray of its own processes. A cluster has what it has.

    Raises
    ------
    SettingError
        If there is no such engine.
    MissingExtraError
        If Ray is not installed.
    """
    kind, address = kind_and_address(name)
    if kind == "local":
        return LocalEngine(workers=workers)
    from tamis.pipelines.engines.ray import RayEngine

    return RayEngine(address=address or None, workers=workers)


def kind_and_address(name: str) -> tuple[str, str]:
    """Take an engine's name apart.

    Raises
    ------
    SettingError
        If there is no such engine.

    Examples
    --------
    >>> kind_and_address("ray:10.0.0.7:6379")
    ('ray', '10.0.0.7:6379')
    """
    kind, _, address = name.partition(":")
    if kind not in _NAMES or (address and kind == "local"):
        raise SettingError(f"no engine '{name}'; {did_you_mean(kind, _NAMES)}")
    return kind, address


@contextmanager
def opened(name: str, *, workers: int = 1) -> Iterator[Engine]:
    """Give the engine of this name; what it started ends with the block.

    Inside, on Ray, a model called 'vllm:ID' is run by Ray's LLM batches.

    Raises
    ------
    SettingError, MissingExtraError
        As `engine_of`.
    """
    engine = engine_of(name, workers=workers)
    if isinstance(engine, LocalEngine):
        yield engine
        return
    from tamis.pipelines.engines.joining import leaving

    elsewhere = {"vllm": "tamis.pipelines.engines.llm:RayVLLM"}
    here = {name: LANGUAGE_MODELS[name] for name in elsewhere}
    LANGUAGE_MODELS.update(elsewhere)
    try:
        with leaving():
            yield engine
    finally:
        LANGUAGE_MODELS.update(here)
