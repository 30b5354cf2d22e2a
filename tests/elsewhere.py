"""Work that tests give to other processes, which can import this but no test."""

import os
import signal
import time
from pathlib import Path

from doubles import Spelling

from tamis.models.account import spend
from tamis.selectors import Deduplicate


def lengths(batch):
    return [len(prompt) for prompt in batch["prompt"].to_pylist()]


def process(_):
    return os.getpid()


class Served(Spelling):
    """A model on a server."""

    usage = None


def with_model(lm, _):
    return os.getpid(), len(lm.losses(["red moon", "sea"]))


def sizes(lm, batch):
    return batch.num_rows


def dies_once(mark, batch):
    """Measure; but the process that comes to the row that is marked first is killed."""
    if "marked" in batch["prompt"].to_pylist() and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return lengths(batch)


def dies_once_with_a_model(mark, lm, batch):
    return dies_once(mark, batch)


class Killer(Deduplicate):
    """Deduplicate, in the course of which a process is killed."""

    mark: Path

    def _keyed(self, batch):
        dies_once(self.mark, batch)
        return super()._keyed(batch)


def refuses(kind, batch):
    if "marked" in batch["prompt"].to_pylist():
        raise kind("row 3: no; mend it")
    return 0


def spends(batch):
    spend(batch.num_rows)
    return 0


def held(model, _):
    return os.getpid(), id(model)


def squares_slowly(number):
    time.sleep(0.3 if number % 3 == 0 else 0)
    return number**2


def kills(ask, number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return ask(number)


def rests(ask, folder, number):
    """Answer the first; of another leave a mark, and rest for longer than anybody waits."""
    if number:
        (folder / str(os.getpid())).touch()
        time.sleep(3600)
    return ask(number)[0]
