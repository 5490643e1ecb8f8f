"""Call a health-check URL at start, on success and on failure; no answer can change a run."""

import http.client
import logging
import os
import re
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress

log = logging.getLogger("forecast")

TIMEOUT = 5.0  # seconds in all, name resolution, redirects and slow answers included
_PROBLEMS: dict[type[BaseException], str] = {
    TimeoutError: "no answer in time",
    ssl.SSLError: "no secure connection",
    socket.gaierror: "the host was not found",
    http.client.HTTPException: "the answer is not HTTP",
    ValueError: "the answer is not HTTP",
}
_VISIBLE = re.compile(r"[!-~]+")  # characters of an address; http.client refuses others only when it sends


def check_address(given: str) -> str:
    """Refuse what is no plain http or https address with a ValueError, which shows none of it."""
    if not given.startswith(("http://", "https://")):
        raise ValueError("it is an address that begins with http:// or https://")
    if not _VISIBLE.fullmatch(given):
        raise ValueError("an address has no blanks, line breaks or letters beyond ASCII; write them as %20 and so on")
    try:
        parts = urllib.parse.urlsplit(given)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise ValueError("its host or port cannot be read; write https://host:port/path") from None
    if not host or port == 0:
        raise ValueError("it names no host or no port; write https://host:port/path")
    if "@" in parts.netloc:
        raise ValueError("a user and password before @ are not sent; use an address whose path holds the token")
    return given


def ping(url: str | None, word: str = "", body: str = "") -> None:
    """Post `body` to URL/word ("start", "fail", or "" for success) and wait a few seconds at most.

    A failure is only logged, without the URL.
    """
    if url is None:
        return
    failures: list[str] = []
    # a socket's timeout counts between bytes; only a thread that can be abandoned limits the total
    thread = threading.Thread(target=_post, args=(url, word, body, failures), daemon=True, name="ping")
    try:
        thread.start()
        thread.join(TIMEOUT)
        if thread.is_alive():
            failures.append(f"no complete answer within {TIMEOUT:g} seconds")
    except RuntimeError:
        failures.append("no thread could be started")
    if failures:
        log.warning("the health-check call for %s failed (%s); the run continues", word or "success", failures[0])


def _post(url: str, word: str, body: str, failures: list[str]) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        address = parts._replace(path=f"{parts.path.rstrip('/')}/{word}".rstrip("/"), fragment="").geturl()
        request = urllib.request.Request(address, data=body.encode(errors="replace"))
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        failures.append(f"HTTP status {error.code}")
        with suppress(Exception):  # a reset while the rest of the answer is dropped
            error.close()
    except BaseException as error:  # anything that a server, a proxy or a resolver can cause
        reason = getattr(error, "reason", None)
        cause = reason if isinstance(reason, BaseException) else error
        code = getattr(cause, "errno", None)  # not the text of the error, which may contain the address
        other = "it failed" if code is None else os.strerror(code).lower()
        failures.append(next((text for kind, text in _PROBLEMS.items() if isinstance(cause, kind)), other))
