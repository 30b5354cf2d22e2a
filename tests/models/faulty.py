"""A server on loopback that answers as a script tells it to."""

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What to send; `cut` sends half of it, `silence` nothing for so many seconds."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    silence: float = 0.0


@dataclass
class Faulty:
    """What the script saw, and where it listens."""

    url: str
    stop: Callable[[], None]
    seen: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)

    def bodies(self, path):
        return [body for where, body, _ in self.seen if where == path]


@contextmanager
def faulty(script):
    """Run a server; `script(path, body, number of the request)` returns its Reply."""
    lock = threading.Lock()
    leave = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            with lock:
                number = len(server.seen)
                server.seen.append((self.path, body, dict(self.headers)))
            reply = script(self.path, body, number)
            if reply is None:  # dead: the connection breaks without a word
                self.close_connection = True
                self.connection.close()
                return
            leave.wait(reply.silence)
            text = reply.body if isinstance(reply.body, str | bytes) else json.dumps(reply.body)
            data = text.encode() if isinstance(text, str) else text
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if reply.cut else data)
            self.close_connection = reply.cut

        do_GET = do_POST = _answer

        def log_message(self, *args):
            pass

    class Quiet(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request, client_address):
            pass  # a client that went away is part of the play

    listening = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def stop():
        leave.set()
        listening.shutdown()
        listening.server_close()

    server = Faulty(f"http://127.0.0.1:{listening.server_port}", stop)
    try:
        yield server
    finally:
        stop()
        thread.join()


def chat(text, *, prompt_tokens=7, completion_tokens=3, finish="stop"):
    """A chat completion that says `text`."""
    return Reply(
        {
            "choices": [{"index": 0, "message": {"content": text}, "finish_reason": finish}],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
        }
    )
