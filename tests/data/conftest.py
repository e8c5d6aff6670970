"""A temporary registry, cache and web server, so that tests of lib.data need neither real files nor a network."""

import hashlib
import importlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

FACTS = {"kind": "table", "title": "t", "licence": "CC0", "citation": "c", "folder": "set"}


class House:
    """Folders of one test, and the means to register files and sets in them."""

    def __init__(self, root: Path) -> None:
        self.cache, self.mirror, self.registry = root / "cache", root / "mirror", root / "registry.toml"

    @staticmethod
    def file(name: str, content: bytes, *urls: str, plain: dict[str, Any] | None = None) -> dict[str, Any]:
        """Describe a file as the registry does."""
        facts: dict[str, Any] = {"name": name, "bytes": len(content), "urls": list(urls)}
        facts["sha256"] = hashlib.sha256(content).hexdigest()
        return facts | ({"plain": plain} if plain else {})

    def register(self, id: str, **facts: Any) -> None:
        """Add a set to the temporary registry."""
        fields = FACTS | facts
        lines = [f'["{id}"]'] + [f"{key} = {_toml(value)}" for key, value in fields.items()]
        with self.registry.open("a") as stream:
            stream.write("\n".join(lines) + "\n")

    def put(self, path: Path, content: bytes) -> Path:
        """Write a file with its folders."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def left(self) -> list[str]:
        """Files and partial folders in the cache, without the stamps."""
        found = [path.relative_to(self.cache) for path in self.cache.rglob("*")] if self.cache.exists() else []
        kept = [path for path in found if path.parts[0] != ".verified"]
        return sorted(path.as_posix() for path in kept if (self.cache / path).is_file() or path.name.startswith("."))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A registry, cache and mirror of this test only; no retries."""
    made = House(tmp_path)
    monkeypatch.setenv("DATA_REGISTRY", str(made.registry))
    monkeypatch.setenv("DATA_DIR", str(made.cache))
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    monkeypatch.delenv("BLINDSPOT_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(importlib.import_module("lib.data.fetch"), "RETRIES", 0)
    return made


class Server:
    """What the web server of a test serves, and what it was asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, tuple[bytes, int | None]] = {}
        self.asked: list[str] = []

    def serve(self, path: str, content: bytes, *, length: int | None = None) -> str:
        """Serve ``content`` at ``path``, claiming ``length`` bytes (None: the true length)."""
        self.pages[path] = (content, length)
        return self.address + path


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on 127.0.0.1 that lives for one test."""
    box: list[Server] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            box[0].asked.append(self.path)
            content, length = box[0].pages.get(self.path, (b"", None))
            self.send_response(200 if self.path in box[0].pages else 404)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        box.append(Server(f"http://127.0.0.1:{running.server_address[1]}"))
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield box[0]
        running.shutdown()
        thread.join()


@pytest.fixture
def data_module() -> Callable[[str], Any]:
    """Import a module of lib.data by name; ``lib.data.images`` itself is the loader, not the module."""
    return lambda name: importlib.import_module(f"lib.data.{name}")
