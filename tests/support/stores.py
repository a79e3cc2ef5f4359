"""The stores that files can be in, each of a test's own, and a look into them past the service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer  # type: ignore[import-untyped]
from werkzeug.serving import WSGIRequestHandler

from jobsvc.files.contract import IDENTITY, Files
from jobsvc.files.local.files import LocalFiles
from jobsvc.files.open_files import open_files
from jobsvc.files.remote.files import RemoteFiles
from jobsvc.settings import Settings
from tests.support.fake_remote import SCHEME, FakeRemote

LOCAL, FAKE, S3 = "local", "fake", "s3"
BOTH = (LOCAL, FAKE)
ALL = (LOCAL, FAKE, S3)


@cache
def _s3_server() -> ThreadedMotoServer:
    # It sends an answer's head and body one by one, and would wait for the client between them.
    WSGIRequestHandler.disable_nagle_algorithm = True
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return server


def s3_environ() -> dict[str, str]:
    """What makes clients of S3 talk to a server on this machine, which is started with the first call."""
    host, port = _s3_server().get_host_and_port()
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "the-key",
        "AWS_SECRET_ACCESS_KEY": "the-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextmanager
def fresh_url(kind: str, directory: Path) -> Iterator[str]:
    """JOBSVC_FILES_URL of an empty store."""
    if kind == LOCAL:
        yield f"file://{directory}/shared%20files"
    elif kind == FAKE:
        FakeRemote.forget_all()
        yield f"{SCHEME}://bucket/some/prefix"
        FakeRemote.forget_all()
    else:
        with pytest.MonkeyPatch.context() as patch:
            for name, text in s3_environ().items():
                patch.setenv(name, text)
            bucket = f"jobsvc-{uuid4()}"
            import s3fs  # type: ignore[import-untyped]  # noqa: PLC0415

            s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
            yield f"s3://{bucket}/some/prefix"


def opened(url: str, data_dir: Path) -> Files:
    return open_files(Settings(data_dir=data_dir, files_url=url))


def names(directory: Path) -> list[str]:
    """What there is in a folder of files, but for the identity."""
    return sorted(path.name for path in directory.iterdir() if path.name != IDENTITY)


def stored(files: Files) -> dict[str, bytes]:
    """All but the identity in a store, by the name that it has in a folder: `<job id>.input`, `<job id>.output/…`."""
    if isinstance(files, LocalFiles):
        paths = [path for path in files.directory.rglob("*") if path.is_file() and path.name != IDENTITY]
        return {path.relative_to(files.directory).as_posix(): path.read_bytes() for path in sorted(paths)}
    assert isinstance(files, RemoteFiles)
    filesystem, root = files._store._filesystem, files._store._root
    try:
        paths = filesystem.find(root)
    except FileNotFoundError:
        return {}
    found = {name.removeprefix(f"{root}/"): filesystem.cat_file(name) for name in sorted(paths)}
    return {_local_name(name): data for name, data in found.items() if name != IDENTITY}


def _local_name(name: str) -> str:
    return re.sub(r"([^/]+)/(?=input$|output/)", r"\1.", name)


def keep(files: Files, name: str, data: bytes) -> None:
    """Put something into a store, past the service; `name` is as in `stored`."""
    if isinstance(files, LocalFiles):
        path = files.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return
    assert isinstance(files, RemoteFiles)
    files._store.put(_remote_name(name), data)


def lose(files: Files, name: str) -> None:
    """Take something out of a store, past the service."""
    if isinstance(files, LocalFiles):
        (files.directory / name).unlink()
        return
    assert isinstance(files, RemoteFiles)
    files._store.remove([_remote_name(name)])


def _remote_name(name: str) -> str:
    found = re.fullmatch(r"(.+)\.(input|output/.+)", name)
    return f"{found[1]}/{found[2]}" if found else name
