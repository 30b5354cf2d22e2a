"""What a task tries again: what may pass by itself, and nothing else."""

import httpx
import pytest
from prefect.states import Failed

from tamis.errors import DataError, HubError, ModelError, RecipeError
from tamis.flows.curate import _worth_another_try
from tamis.models.base import IncompleteError

BUSY = httpx.HTTPStatusError(
    "busy", request=httpx.Request("GET", "http://x"), response=httpx.Response(503)
)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError("cut off"), True),
        (TimeoutError(), True),
        (OSError("a disk that went away"), True),
        (httpx.ConnectError("no route"), True),
        (BUSY, True),
        (IncompleteError("no answer", [None], {0: "HTTP 503"}), True),
        (HubError("HTTP 429", retryable=True), True),
        (HubError("HTTP 403"), False),
        (ModelError("out of memory"), False),
        (DataError("a.jsonl: no rows"), False),
        (RecipeError("no method 'dsri'"), False),
        (KeyError("a defect"), False),
        (ZeroDivisionError(), False),
        (MemoryError(), False),
    ],
    ids=repr,
)
def test_only_what_may_pass_by_itself_is_tried_again(error, again):
    assert _worth_another_try(None, None, Failed(data=error)) is again
