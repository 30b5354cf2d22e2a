"""A small hub: the part of the hub's protocol that its real client speaks, over HTTP, with faults.

Repositories, their files and commits live in memory. Parquet goes by LFS, other files in the
commit itself, as on the hub. `faults` says what goes wrong: for the name of an operation a
list of what to do with its next calls: a status ("503"), "cut" (the connection is closed
before anything is done) or "lost" (all is done, then the connection is closed).
"""

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_planted5ecretT0kenThatMustNotLeak42"
REPOSITORY = r"(?P<repository>[\w.-]+/[\w.-]+)"


def git_oid(content):
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class Hub:
    """Start it with `with`; `url` is where it listens."""

    def __init__(self):
        self.repositories = {}  # name -> {"private", "files": {path: bytes}, "commits": [oid]}
        self.objects = {}  # SHA-256 -> bytes
        self.faults = defaultdict(list)
        self.calls = defaultdict(int)
        self.spoil = lambda name, document: document  # of what an operation answers
        hub = self

        class Handler(_Handler):
            hub_ = hub

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def files(self, name):
        return self.repositories[name]["files"]

    def write(self, name, **files):
        """Commit files, as somebody else does."""
        self._commit(name, files)

    def commits(self, name):
        return self.repositories[name]["commits"]

    def make(self, name, private=True, **files):
        self.repositories[name] = {"private": private, "files": {}, "commits": []}
        self._commit(name, files)

    def _commit(self, name, files):
        repository = self.repositories[name]
        repository["files"] = {**repository["files"], **files}
        state = repr(sorted((p, git_oid(c)) for p, c in repository["files"].items()))
        previous = repository["commits"][-1] if repository["commits"] else ""
        repository["commits"].append(hashlib.sha1((previous + state).encode()).hexdigest())
        return repository["commits"][-1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        TCPServer.server_bind(self)  # without asking who 127.0.0.1 is
        self.server_port = self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub_ = None

    def log_message(self, *_):
        pass

    def _handle(self):
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for method, pattern, name in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method:
                self._call(name, match.groupdict(), body)
                return
        self._say(404, {"error": f"no such place: {self.command} {path}"})

    do_GET = do_POST = do_PUT = do_HEAD = _handle

    def _call(self, name, found, body):
        hub = self.hub_
        hub.calls[name] += 1
        self._name = name
        fault = hub.faults[name].pop(0) if hub.faults[name] else None
        if fault == "cut":
            self.close_connection = True
            return
        if fault is not None and fault != "lost":
            self._say(int(fault), {"error": "trouble"}, **{"Retry-After": "0"})
            return
        repository = hub.repositories.get(found.get("repository"))
        if name not in {"create", "validate", "put", "verify"}:
            if repository is None:
                self._say(
                    404, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"}
                )
                return
            if repository["private"] and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._say(401, {"error": "Invalid username or password."})
                return
        self._lost = fault == "lost"
        getattr(self, f"_{name}")(repository, found, body)

    def _say(self, status, document, **headers):
        if getattr(self, "_lost", False):
            self.close_connection = True
            return
        document = self.hub_.spoil(getattr(self, "_name", ""), document)
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    # What can be asked

    def _create(self, _, found, body):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, {"error": "Invalid username or password."})
            return
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        known = name in self.hub_.repositories
        if not known:
            private = asked.get("visibility", asked.get("private")) in ("private", True)
            self.hub_.make(name, private=private)
        url = f"{self.hub_.url}/datasets/{name}"
        self._say(409 if known else 200, {"url": url, "name": name, "error": "exists"})

    def _validate(self, *_):
        self._say(200, {"errors": [], "warnings": []})

    def _info(self, repository, found, _):
        self._say(
            200,
            {
                "_id": "1", "id": found["repository"], "sha": repository["commits"][-1],
                "private": repository["private"], "disabled": False, "gated": False, "tags": [],
                "downloads": 0, "likes": 0, "author": found["repository"].split("/")[0],
                "siblings": [{"rfilename": path} for path in sorted(repository["files"])],
            },
        )  # fmt: skip

    def _entry(self, path, content):
        entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
        if path.endswith(".parquet"):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
        return entry

    def _tree(self, repository, found, _):
        folder = f"{found['path']}/" if found.get("path") else ""
        recursive = "recursive=true" in self.path.lower() or "recursive=1" in self.path
        entries, folders = [], set()
        for path, content in sorted(repository["files"].items()):
            if not path.startswith(folder):
                continue
            inside, slash, _ = path.removeprefix(folder).partition("/")
            if slash:
                folders.add(folder + inside)
            if recursive or not slash:
                entries.append(self._entry(path, content))
        entries += [
            {"type": "directory", "path": name, "oid": git_oid(name.encode()), "size": 0}
            for name in sorted(folders)
        ]
        if not entries and folder:
            self._say(404, {"error": "no such entry"}, **{"X-Error-Code": "EntryNotFound"})
            return
        self._say(200, entries)

    def _paths(self, repository, _, body):
        asked = json.loads(body)["paths"]
        files = repository["files"]
        there = [self._entry(path, files[path]) for path in asked if path in files]
        there += [
            {"type": "directory", "path": path, "oid": git_oid(path.encode()), "size": 0}
            for path in asked
            if path not in files and any(name.startswith(f"{path}/") for name in files)
        ]
        self._say(200, there)

    def _preupload(self, repository, _, body):
        files = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith(".parquet")
            files.append({"path": file["path"], "uploadMode": "lfs" if large else "regular",
                          "shouldIgnore": False})  # fmt: skip
        self._say(200, {"files": files})

    def _batch(self, _, found, body):
        objects = []
        for asked in json.loads(body)["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub_.objects:
                entry["actions"] = {
                    "upload": {"href": f"{self.hub_.url}/lfs/{asked['oid']}"},
                    "verify": {"href": f"{self.hub_.url}/lfs/{asked['oid']}/verify"},
                }
            objects.append(entry)
        self._say(200, {"transfer": "basic", "objects": objects})

    def _put(self, _, found, body):
        assert hashlib.sha256(body).hexdigest() == found["oid"]
        self.hub_.objects[found["oid"]] = body
        self._say(200, {})

    def _verify(self, _, found, body):
        self._say(200 if found["oid"] in self.hub_.objects else 404, {})

    def _commit(self, _, found, body):
        files = dict(self.hub_.files(found["repository"]))
        for line in filter(None, body.split(b"\n")):
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub_.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        self.hub_.repositories[found["repository"]]["files"] = files
        oid = self.hub_._commit(found["repository"], {})
        url = f"{self.hub_.url}/datasets/{found['repository']}/commit/{oid}"
        self._say(200, {"success": True, "commitOid": oid, "commitUrl": url})

    def _resolve(self, repository, found, _):
        content = repository["files"].get(found["path"])
        head = {"X-Repo-Commit": repository["commits"][-1]}
        if content is None:
            self._say(404, {"error": "no entry"}, **head, **{"X-Error-Code": "EntryNotFound"})
            return
        head["ETag"] = f'"{git_oid(content)}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            start, end = int(asked[1]), int(asked[2] or len(content) - 1) + 1
            head["Content-Range"] = f"bytes {start}-{min(end, len(content)) - 1}/{len(content)}"
            self._say(206, content[start:end], **head)
            return
        self._say(200, content, **head, **{"Accept-Ranges": "bytes"})


ROUTES = [
    ("POST", "/api/repos/create", "create"),
    ("POST", "/api/validate-yaml", "validate"),
    ("GET", f"/api/datasets/{REPOSITORY}(/revision/.+)?", "info"),
    ("GET", f"/api/datasets/{REPOSITORY}/tree/[^/]+(/(?P<path>.+))?", "tree"),
    ("POST", f"/api/datasets/{REPOSITORY}/paths-info/[^/]+", "paths"),
    ("POST", f"/api/datasets/{REPOSITORY}/preupload/[^/]+", "preupload"),
    ("POST", f"/api/datasets/{REPOSITORY}/commit/[^/]+", "commit"),
    ("POST", f"/datasets/{REPOSITORY}\\.git/info/lfs/objects/batch", "batch"),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", "put"),
    ("POST", "/lfs/(?P<oid>[0-9a-f]{64})/verify", "verify"),
    ("GET HEAD", f"/datasets/{REPOSITORY}/resolve/[^/]+/(?P<path>.+)", "resolve"),
]
