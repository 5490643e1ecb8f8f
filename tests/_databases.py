"""A PostgreSQL server of the tests' own, and an empty database for a test."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from forecast.tables.databases import connect

REQUIRED = "FORECAST_TEST_POSTGRESQL"  # where it is set to 'required', a server that is not there is a failure
USER = "nobody"  # a server refuses to run as root


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    database: str = "postgres"
    user: str = "tester"
    password: str = ""

    @property
    def url(self) -> str:
        user, password = quote(self.user, ""), quote(self.password, "")
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{self.database}"

    def execute(self, sql: str, *values: object) -> list[tuple]:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: the newest of Debian's, or that on the path."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4])
    )
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server on the loopback interface that takes passwords only; it keeps nothing and ends with the tests."""
    binaries = programs()
    if binaries is None:
        message = "PostgreSQL is not installed: apt-get install postgresql"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="forecast-postgresql-"))
    password = "pä:ss/w@rd%" + secrets.token_hex(4)  # in a URL every one of these has to be quoted
    (folder / "password").write_text(password)
    account: dict = {}
    if os.geteuid() == 0:
        account = {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}
        for path in (folder, folder / "password"):
            shutil.chown(path, USER)
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "tester", "-A", "scram-sha-256", "--pwfile", folder / "password",
         "-E", "UTF8", "--no-locale", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, cwd=folder, **account,
    )  # fmt: skip
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "fsync=off"],
            stdout=log, stderr=log, cwd=folder, **account,
        )  # fmt: skip
    try:
        yield ready(Server(port, password=password), server, folder / "log")
    finally:
        server.send_signal(signal.SIGINT)  # ends its sessions too
        server.wait(30)
        shutil.rmtree(folder)


def ready(server: Server, process: subprocess.Popen, log: Path) -> Server:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.execute("SELECT 1")
            return server
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {error}\n{log.read_text()}")
            time.sleep(0.1)


@pytest.fixture
def server(postgresql: Server) -> Iterator[Server]:
    """A server with an empty database."""
    name = f"test_{secrets.token_hex(4)}"
    postgresql.execute(f"CREATE DATABASE {name}")
    yield replace(postgresql, database=name)
    postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind that forecasts can be written to."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return request.getfixturevalue("server").url


# for tests that take long: what PostgreSQL does with the same statements, others in the gate see
sqlite_first = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def run() -> Callable[..., None]:
    """Run statements in a database: ``run(url, "CREATE TABLE ...", ...)``."""
    return _run


@pytest.fixture
def rows() -> Callable[[str, str], list[tuple]]:
    """The rows that a statement returns: ``rows(url, "SELECT ...")``."""
    return _rows


@pytest.fixture
def forecasts() -> Callable[..., pd.DataFrame]:
    """What a job writes: id, time, origin, numbers."""
    return _forecasts


def _run(url: str, *statements: str) -> None:
    with connect(url) as execute:
        for statement in statements:
            execute(statement)


def _rows(url: str, sql: str) -> list[tuple]:
    with connect(url) as execute:
        return execute(sql)


def _forecasts(rows: int = 4) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "store": [f"00{row % 2}" for row in range(rows)],
            "day": pd.date_range("2024-01-01", periods=rows),
            "origin": pd.Timestamp("2023-12-31"),
            "forecast": np.arange(rows, dtype=float),
            "lo_80": [None, *np.arange(1.0, rows)],
        }
    )
