"""Call a health-check URL at start, on success and on failure; no answer can change a run."""

import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress

from forecast.logs import log

TIMEOUT = 5.0  # seconds in all, name resolution, redirects and slow answers included
USE = (
    "it is an address: write http:// or https://host/path without user and password, "
    "and %20 and so on for blanks"
)


def check_address(address: str) -> str:
    """Raise ValueError, which does not show the address, unless it is plain http or https."""
    try:
        parts = urllib.parse.urlsplit(address)
        usable = (
            bool((parts.hostname or "").encode("idna"))
            and parts.port != 0
            and "@" not in parts.netloc
        )
    except ValueError:
        usable = False
    # http.client refuses characters that are not visible only when it sends
    if not usable or parts.scheme not in ("http", "https") or not re.fullmatch("[!-~]+", address):
        raise ValueError(USE) from None
    return address


def ping(url: str | None, word: str = "", body: str = "") -> None:
    """Post `body` to URL/word: start, fail, or "" for success; a failure is only logged."""
    if url is None:
        return
    outcome = {"failure": f"no complete answer within {TIMEOUT:g} seconds"}  # until there is one
    # a socket's timeout counts between bytes; only a thread that can be abandoned limits the total
    thread = threading.Thread(
        target=_post, args=(url, word, body, outcome), daemon=True, name="ping"
    )
    try:
        thread.start()
        thread.join(TIMEOUT)
    except RuntimeError:
        outcome["failure"] = "no thread could be started"
    if failure := outcome["failure"]:
        log.warning(
            "the health-check call for %s failed (%s); the run continues",
            word or "success",
            failure,
        )


def _post(url: str, word: str, body: str, outcome: dict[str, str]) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        address = parts._replace(
            path=f"{parts.path.rstrip('/')}/{word}".rstrip("/"), fragment=""
        ).geturl()
        request = urllib.request.Request(address, data=body.encode(errors="replace"))
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            outcome["failure"] = ""
    except urllib.error.HTTPError as error:
        outcome["failure"] = f"HTTP status {error.code}"
        with suppress(Exception):  # a reset while the rest of the answer is dropped
            error.close()
    except BaseException as error:  # anything that a server, a proxy or a resolver can cause
        reason = getattr(
            error, "reason", None
        )  # its type, and not its text, which may contain the address
        outcome["failure"] = type(reason if isinstance(reason, BaseException) else error).__name__
