"""Prefect's server, as every flow asks for it before it begins."""

import httpx
from prefect.settings import get_current_settings

from tamis.errors import RunError

__all__ = ["check_server"]


def check_server() -> None:
    """Raise RunError if Prefect's server is to be used and does not answer."""
    url = get_current_settings().api.url
    if url is None:
        return
    try:
        httpx.get(f"{url}/health", timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        raise RunError(
            f"Prefect's server at {url} does not answer ({type(error).__name__}); "
            "start it with `prefect server start`, or unset PREFECT_API_URL to run without one"
        ) from None
