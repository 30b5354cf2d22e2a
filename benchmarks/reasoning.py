"""Self-Consistency over HTTP: all questions in lock-step, and one by one on the same server.

The server is a double of one that batches: it answers each request after a fixed time,
however many it has. What is measured is thus the waiting that lock-step saves, not a model.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tamis
from tamis.prompting.reasoning import SelfConsistency


def main() -> None:
    """Print the seconds of both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--milliseconds", type=float, default=200, help="a request takes")
    arguments = parser.parse_args()
    questions = [f"What is {i} + {i}?" for i in range(arguments.questions)]
    with server(arguments.milliseconds / 1000) as url:
        lm = tamis.models.load("openai:double", base_url=url)
        program = SelfConsistency(lm, samples=arguments.samples)
        program.solve(questions[:1], progress=False)  # connects
        started = time.perf_counter()
        together = program.solve(questions, progress=False)
        between = time.perf_counter()
        alone = [program.solve([question], progress=False)[0] for question in questions]
        seconds = between - started, time.perf_counter() - between
    same = sum(a.answer == b.answer for a, b in zip(together, alone, strict=True))
    drawn = sum(one.calls for one in together)
    print(
        f"{len(questions)} questions, {arguments.samples} samples at most ({drawn} drawn), "
        f"{arguments.milliseconds:g} ms a request"
    )
    print(f"  in lock-step {seconds[0]:8.2f} s")
    print(f"  one by one   {seconds[1]:8.2f} s, {seconds[1] / seconds[0]:.1f} times as long")
    print(f"  same answers {same} of {len(questions)}")


@contextmanager
def server(seconds: float) -> Iterator[str]:
    """Serve chat completions that are right two times in three."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(seconds)
            number = int(body["messages"][-1]["content"].split()[3])
            said = [2 * number + ((body["seed"] + i) % 3 == 0) for i in range(body.get("n", 1))]
            choices = [
                {
                    "index": i,
                    "message": {"content": f"So. The answer is {answer}."},
                    "finish_reason": "stop",
                }
                for i, answer in enumerate(said)
            ]
            data = json.dumps({"choices": choices, "usage": {}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Listening(ThreadingHTTPServer):
        request_queue_size = 128

    listening = Listening(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
