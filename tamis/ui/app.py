"""The explorer as an ASGI application, and the server that runs it."""

import os
import secrets
import socket
import webbrowser
from importlib.resources import files

from tamis.errors import MissingExtraError, SettingError, TamisError

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ImportError as error:
    raise MissingExtraError("starlette", "ui") from error

from tamis.ui.guard import Guard, is_local
from tamis.ui.pages import PAGES, trouble

__all__ = ["TOKEN", "explorer", "serve"]

TOKEN = "TAMIS_TOKEN"


def explorer(token: str | None = None) -> Guard:
    """Return the explorer of `TAMIS_HOME` as an ASGI application; it only answers GET.

    Parameters
    ----------
    token : str, optional
        That a reader must bring. Without one only this machine's own names are answered.
    """
    routes = [Route(path, page, methods=["GET"]) for path, page in PAGES.items()]
    routes += [Route(f"/{name}", _asset, methods=["GET"]) for name in _ASSETS]
    handlers = dict.fromkeys((Exception, HTTPException, TamisError), trouble)
    return Guard(Starlette(routes=routes, exception_handlers=handlers), token)


def serve(*, host: str = "127.0.0.1", port: int = 8585, browse: bool = False) -> None:
    """Run the explorer until it is interrupted; print its address.

    Parameters
    ----------
    host : str
        Where it listens. At others than this machine's own a token is needed: the one in
        `TAMIS_TOKEN`, or one that is drawn and printed with the address.
    port : int
        0 for any that is free.
    browse : bool
        Open the address in a browser.

    Raises
    ------
    SettingError
        If it cannot listen there.
    """
    token = os.environ.get(TOKEN) or (None if is_local(host) else secrets.token_urlsafe(24))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror or error).partition(" (while ")[0]
        raise SettingError(f"--host {host} --port {port}: {why}; give others") from error
    with listening:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listening.getsockname()[1]}/"
        address += f"?token={token}" if token else ""
        print(f"tamis ui: {address}", flush=True)  # noqa: T201 - a command's result
        if browse:
            webbrowser.open(address)
        config = uvicorn.Config(
            explorer(token),
            log_level="warning",
            access_log=False,  # addresses hold conditions, and once the token
            server_header=False,
            ws="none",
        )
        uvicorn.Server(config).run(sockets=[listening])


_ASSETS = {
    "style.css": ("text/css", [("tamis.report", "page.css"), ("tamis.ui", "ui.css")]),
    "map.js": ("text/javascript", [("tamis.ui", "map.js")]),
}


def _asset(request: Request) -> Response:
    kind, parts = _ASSETS[request.url.path.lstrip("/")]
    texts = [
        files(package).joinpath("templates", name).read_text(encoding="utf-8")
        for package, name in parts
    ]
    return Response("\n".join(texts), media_type=kind)
