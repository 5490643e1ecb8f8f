"""Health checks: a run ends as it would without one, whatever the server answers and whatever the address is."""

import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from forecast.jobs import ping as pings
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
Answer = Callable[[socket.socket], None]

TOKEN = "t0ken-4711"


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect sockets that a broken answer leaves open here, and not in whatever test comes next."""
    gc.freeze()  # of a quarter of a second, nearly all goes to what was there before
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.unfreeze()


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[int, list[bytes]]]:
    """A server on the loopback interface that does as told with each connection: its port, and what it was sent."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            heard.append(connection.recv(65_536))
            answer(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _drip(connection: socket.socket) -> None:
    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"." * 200:
        connection.sendall(bytes([letter]))
        time.sleep(0.2)


def _headers(connection: socket.socket) -> None:
    connection.sendall(
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(150)) + b"\r\n"
    )


def _not_http(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example ESMTP ready\r\n")


def _binary(connection: socket.socket) -> None:
    connection.sendall(bytes(range(256)) * 400)


def _long_line(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")


def _redirect_to_nowhere(connection: socket.socket) -> None:
    connection.sendall(
        f"HTTP/1.1 302 Found\r\nLocation: http://[{TOKEN}\r\nContent-Length: 0\r\n\r\n".encode()
    )


def _redirect_to_another_scheme(connection: socket.socket) -> None:
    connection.sendall(
        f"HTTP/1.1 302 Found\r\nLocation: file:///{TOKEN}\r\nContent-Length: 0\r\n\r\n".encode()
    )


def _endless_continue(connection: socket.socket) -> None:
    for _ in range(2_000):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def _refused(connection: socket.socket) -> None:
    connection.sendall(f"HTTP/1.1 500 {TOKEN}\r\nContent-Length: 5\r\n\r\n{TOKEN}".encode())


def _hang_up(connection: socket.socket) -> None:
    return


ANSWERS = [_not_http, _headers, _binary, _long_line, _redirect_to_nowhere, _redirect_to_another_scheme,
           _endless_continue, _refused, _hang_up, _drip]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__.strip("_"))
def test_an_answer_of_a_health_check_never_changes_a_run(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(pings, "TIMEOUT", 0.4)
    with serving(answer) as (port, heard):
        job.write(top=f'ping = "http://127.0.0.1:{port}/{TOKEN}"')
        begun = time.monotonic()
        ran = forecast("run", job.file, "--as-of", at(150))
        seconds = time.monotonic() - begun
    assert ran.code == 0, ran.err
    assert job.output.exists()
    assert job.record()["exit_code"] == 0
    assert seconds < 10, "two pings of .4 seconds"
    assert f"POST /{TOKEN}/start ".encode() in heard[0]
    assert "the health-check call for start failed" in ran.err
    assert "the health-check call for success failed" in ran.err
    said = ran.err + ran.out + str(job.record())
    assert TOKEN not in said
    assert "127.0.0.1" not in said


def test_a_failing_run_keeps_its_exit_code_beside_a_failing_health_check(
    job: Job, forecast: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pings, "TIMEOUT", 0.4)
    (job.folder / "sales.csv").unlink()
    with serving(_not_http) as (port, heard):
        job.write(top=f'ping = "http://127.0.0.1:{port}/{TOKEN}"')
        ran = forecast("run", job.file)
    assert ran.code == 66
    assert "sales.csv does not exist" in ran.err
    assert len(heard) == 2
    assert TOKEN not in ran.err


@pytest.mark.parametrize(
    "address",
    [
        "http://[x/" + TOKEN,
        f"http://127.0.0.1/{TOKEN}\\n",
        f"http://127.0.0.1/{TOKEN} x",
        f"http://127.0.0.1/{TOKEN}\\u0000",
        f"http://127.0.0.1:port/{TOKEN}",
        f"http://127.0.0.1:99999/{TOKEN}",
        f"http:///{TOKEN}",
        f"http://user:{TOKEN}@127.0.0.1/",
        f"http://127.0.0.1/{TOKEN}ü",
        f"http://{'x' * 70}.example/{TOKEN}",
        f"ftp://127.0.0.1/{TOKEN}",
        TOKEN,
    ],
)
def test_an_address_that_cannot_be_sent_to_is_refused_with_the_file(
    job: Job, forecast: Run, address: str
) -> None:
    job.write(top=f'ping = "{address}"')
    for words in (("run", job.file, "--check"), ("run", job.file)):
        ran = forecast(*words)
        assert ran.code == 2, ran.err
        assert "ping: " in ran.err
        assert TOKEN not in ran.err
    assert not job.store.exists()


def test_a_query_of_the_address_stays_behind_the_word(job: Job, forecast: Run, at: At) -> None:
    with serving(lambda one: one.sendall(b"HTTP/1.1 204 Fine\r\n\r\n")) as (port, heard):
        job.write(top=f'ping = "http://127.0.0.1:{port}/a/?key=1"')
        assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert [line.split(b" ")[1] for line in heard] == [b"/a/start?key=1", b"/a?key=1"]
