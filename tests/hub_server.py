"""A Hugging Face Hub on the loopback interface: model info, resolve, redirects to a CDN, ranges, commits, failures.

Written from what huggingface_hub sends and reads (file_download.py, hf_api.py, utils/_http.py) and from the headers of
the real Hub.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from huggingface_hub import constants

LFS_FROM_BYTES = 4096
PATIENCE_S = 20


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Fault:
    """What goes wrong with a request whose method and path fit, `times` times (None: always)."""

    method: str
    part: str
    act: Callable[["Handler"], bool]  # True: answered; False: continue as usual
    times: int | None = 1

    def fits(self, method: str, path: str) -> bool:
        return self.times != 0 and method in self.method.split("|") and self.part in path


@dataclass
class Repo:
    """Commits by hash, each a mapping from file name to content, and refs (`main`, `refs/pr/1`) to commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: Mapping[str, bytes], *, ref: str = "main", commit: str | None = None) -> str:
        digest = hashlib.sha1(repr((ref, sorted(files.items()), len(self.commits))).encode()).hexdigest()
        commit = commit or digest
        self.commits[commit] = dict(files)
        self.refs[ref] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        commit = self.refs.get(revision, revision)
        return commit if commit in self.commits else None


def etag_of(content: bytes) -> str:
    """The Hub's ETag: SHA-256 of an LFS file, git's SHA-1 of any other."""
    if len(content) >= LFS_FROM_BYTES:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class HubServer(ThreadingHTTPServer):
    """Serves `repos`; `requests` is what came in; `fail` arranges for trouble."""

    daemon_threads = True
    token = "hf_loopback"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.stored: dict[str, bytes] = {}  # what a CDN path stands for
        self.changed = threading.Condition()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def cdn(self) -> str:
        """The CDN is another host, so that the client has to drop its token."""
        return f"http://localhost:{self.server_port}/cdn"

    def repo(self, repo_id: str) -> Repo:
        return self.repos.setdefault(repo_id, Repo())

    def count(self, method: str, part: str) -> int:
        with self.changed:
            return sum(request.method == method and part in request.path for request in self.requests)

    def wait_for(self, method: str, part: str, count: int = 1) -> bool:
        """Wait until that many such requests have come in."""
        with self.changed:
            return self.changed.wait_for(
                lambda: sum(r.method == method and part in r.path for r in self.requests) >= count, PATIENCE_S
            )

    def fail(
        self,
        part: str,
        *,
        method: str = "HEAD|GET",
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        act: Callable[["Handler"], bool] | None = None,
        times: int | None = None,
    ) -> None:
        """Answer requests whose path contains `part` with `status`, or let `act` do so."""

        def refuse(handler: "Handler") -> bool:
            handler.answer(int(status or 500), dict(headers or {}), b"")
            return True

        self.faults.append(Fault(method, part, act or refuse, times))

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests want."""


class Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        """Take what `HfApi.upload_folder` sends; every file comes inside the commit, none by way of a store."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.changed:
            self.server.requests.append(Request(self.command, self.path, dict(self.headers.items())))
            self.server.changed.notify_all()
        path = urlsplit(self.path).path
        answer: dict[str, object]
        if path == "/api/repos/create":
            about = json.loads(body)
            repo_id = "/".join(filter(None, (about.get("organization"), about["name"])))
            self.server.repo(repo_id).private = about.get("visibility") == "private"
            answer = {"url": f"{self.server.url}/{repo_id}", "name": repo_id}
        elif path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            answer = {
                "files": [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in files
                ]
            }
        else:
            repo_id = path.removeprefix("/api/models/").partition("/commit/")[0]
            answer = {"success": True, "commitOid": (oid := self._take_commit(repo_id, body)), "hookOutput": ""}
            answer |= {"commitUrl": f"{self.server.url}/{repo_id}/commit/{oid}", "pullRequestUrl": None}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _take_commit(self, repo_id: str, body: bytes) -> str:
        repo = self.server.repo(repo_id)
        files = dict(repo.commits.get(repo.refs.get("main", ""), {}))
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        return repo.commit(files)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        server = self.server
        with server.changed:
            server.requests.append(Request(self.command, self.path, dict(self.headers.items())))
            fault = next((fault for fault in server.faults if fault.fits(self.command, self.path)), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
            server.changed.notify_all()
        if fault is not None and fault.act(self):
            return
        path = urlsplit(self.path).path
        if path.startswith("/cdn/"):
            self._send_stored(path.removeprefix("/cdn/"))
        elif path.startswith("/api/resolve-cache/models/"):
            owner, name, commit, file = path.removeprefix("/api/resolve-cache/models/").split("/", 3)
            self._send_resolved(f"{owner}/{name}", commit, unquote(file), redirect=False)
        elif path.startswith("/api/models/"):
            self._send_info(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            repo_id, _, rest = path[1:].partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._send_resolved(repo_id, unquote(revision), unquote(name))
        else:
            self.answer(404, {}, b"")

    def _open(self, repo_id: str, revision: str) -> tuple[Repo, str] | None:
        """Return a repository and a commit of it, or answer as the Hub does where there is none."""
        repo = self.server.repos.get(repo_id)
        allowed = self.headers.get("Authorization") == f"Bearer {self.server.token}"
        if repo is None or (repo.private and not allowed):
            status = 404 if allowed else 401
            self.answer(status, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"")
        elif repo.gated and not allowed:
            self.answer(
                403, {"X-Error-Code": "GatedRepo", "X-Error-Message": f"Access to {repo_id} is restricted"}, b""
            )
        elif (commit := repo.resolve(revision)) is None:
            message = f"Invalid rev id: {revision}"
            self.answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": message}, b"")
        else:
            return repo, commit
        return None

    def _send_info(self, rest: str) -> None:
        repo_id, _, revision = rest.partition("/revision/")
        opened = self._open(repo_id, unquote(revision) or "main")
        if opened is None:
            return
        repo, commit = opened
        siblings = []
        for name, content in sorted(repo.commits[commit].items()):
            sibling: dict[str, object] = {"rfilename": name}
            if "blobs" in parse_qs(urlsplit(self.path).query):
                sibling |= {"blobId": hashlib.sha1(content).hexdigest(), "size": len(content)}
                if len(content) >= LFS_FROM_BYTES:
                    sibling["lfs"] = {"sha256": etag_of(content), "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        info = {"_id": "1", "id": repo_id, "modelId": repo_id, "sha": commit, "private": repo.private, "gated": False}
        body = json.dumps(info | {"siblings": siblings, "tags": [], "downloads": 0, "likes": 0}).encode()
        self.answer(200, {"Content-Type": "application/json; charset=utf-8"}, body)

    def _send_resolved(self, repo_id: str, revision: str, name: str, *, redirect: bool = True) -> None:
        opened = self._open(repo_id, revision)
        if opened is None:
            return
        repo, commit = opened
        content = repo.commits[commit].get(name)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if content is None:
            self.answer(404, headers | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}, b"")
            return
        etag = etag_of(content)
        if len(content) < LFS_FROM_BYTES and redirect and not repo_id.startswith("datasets/"):
            place = f"/api/resolve-cache/models/{repo_id}/{commit}/{quote(name, safe='')}"
            self.answer(307, headers | {"Location": place}, b"Temporary Redirect")
            return
        if len(content) < LFS_FROM_BYTES:
            self.answer(200, headers | {"ETag": f'"{etag}"'}, content)
            return
        self.server.stored[etag] = content
        headers |= {
            "X-Linked-ETag": f'"{etag}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.server.cdn}/{etag}?name={name}",
        }
        self.answer(302, headers, b"Found. Redirecting.")

    def _send_stored(self, etag: str) -> None:
        content = self.server.stored[etag]
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": f'"{etag}"', "Content-Type": "application/octet-stream"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if start else 200, headers, content[start:])

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, *, only: int | None = None) -> None:
        """Send a response; `only` breaks the connection after that many bytes of the body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if only is None else body[:only])
            self.wfile.flush()
        if only is not None:
            self.close_connection = True

    def stored(self) -> bytes:
        """The file that a CDN request asks for."""
        return self.server.stored[urlsplit(self.path).path.rpartition("/")[2]]


def break_at(position: int) -> Callable[[Handler], bool]:
    """Promise the whole file and hang up after `position` bytes of it."""

    def act(handler: Handler) -> bool:
        handler.answer(200, {}, handler.stored(), only=position)
        return True

    return act


def send_instead(change: Callable[[bytes], bytes]) -> Callable[[Handler], bool]:
    """Send other content than was asked for."""

    def act(handler: Handler) -> bool:
        handler.answer(200, {}, change(handler.stored()))
        return True

    return act


def hang(handler: Handler) -> bool:
    """Say nothing until the server closes."""
    handler.server.closing.wait(PATIENCE_S)
    handler.close_connection = True
    return True


def hang_after(position: int, sent: threading.Event) -> Callable[[Handler], bool]:
    """Send `position` bytes, say so through `sent`, and then nothing more."""

    def act(handler: Handler) -> bool:
        handler.answer(200, {}, handler.stored(), only=position)
        sent.set()
        handler.server.closing.wait(PATIENCE_S)
        return True

    return act


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let this process use the Hub at `url`, as if HF_ENDPOINT had named it at the start."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@contextmanager
def serving() -> Iterator[HubServer]:
    """Run a server in a thread of its own."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)
