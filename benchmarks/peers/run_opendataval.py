"""Run opendataval's nearest-neighbour Shapley values; runs in its own environment.

Arguments: a .npz file with points, labels, queries and answers; 'knn', all that is asked of
it; and K. Leaves `values.npy` beside the file; the last line printed is a JSON object of
seconds on the wall. opendataval loads torchvision, for images; it is left out of its
environment, as it would bring another torch, and names stand in for its own.
"""

import json
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import torch


class Absent(ModuleType):
    """A module that has every name, and nothing behind any."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> object:
        """Return the part of that name, or an empty class."""
        if name.startswith("__"):
            raise AttributeError(name)
        part = sys.modules.get(f"{self.__name__}.{name}")
        return part or type(name, (), {})


IMAGES = ["transforms", "transforms.functional", "datasets", "models", "models.feature_extraction"]
for name in ["torchvision", *(f"torchvision.{part}" for part in IMAGES)]:
    sys.modules[name] = Absent(name)
    sys.modules[name].__spec__ = ModuleSpec(name, None)

from opendataval.dataval import KNNShapley  # noqa: E402 - once the names are there


def main(path: Path, k: int) -> None:
    """Print the seconds."""
    task = np.load(path)
    points, queries = (torch.tensor(task[name]) for name in ("points", "queries"))
    classes = int(task["labels"].max()) + 1
    labels, answers = (
        torch.nn.functional.one_hot(torch.tensor(task[name]), classes).float()
        for name in ("labels", "answers")
    )
    valuer = KNNShapley(k_neighbors=k)
    valuer.input_data(points, labels, queries, answers)
    started = time.perf_counter()
    valuer.train_data_values()
    seconds = time.perf_counter() - started
    np.save(path.with_name("values.npy"), valuer.evaluate_data_values())
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]))
