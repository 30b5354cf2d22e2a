"""`python -m tamis.flows.serving DOOR`: Prefect's server, for as long as standard input is open.

DOOR is the descriptor of a socket that listens; `tamis.flows.server` opens it.
"""

import gc
import os
import signal
import socket
import sys
from threading import Thread


def main() -> None:
    """Answer whoever knocks, until whoever began this is gone."""
    door = socket.socket(fileno=int(sys.argv[1]))
    Thread(target=_end_with_the_one_who_began_this, daemon=True).start()
    gc.disable()  # while modules are made, which all stay: a second of four
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True)
    gc.freeze()  # before it is enabled, or it looks at them all at once
    gc.enable()
    how = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5)
    uvicorn.Server(how).run(sockets=[door])


def _end_with_the_one_who_began_this() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
