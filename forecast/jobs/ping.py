"""Tell a URL of start, success and failure, by the convention of health checks; a run never fails because of it."""

import logging
import urllib.error
import urllib.parse
import urllib.request

log = logging.getLogger("forecast")

SECONDS = 5.0


def ping(url: str | None, word: str = "", body: str = "") -> None:
    """Post to URL/word; what goes wrong is said and forgotten.

    Parameters
    ----------
    url : nothing is done without one
    word : "start", "fail", or "" for success
    body : what is sent along
    """
    if url is None:
        return
    address = f"{url.rstrip('/')}/{word}".rstrip("/")
    try:
        if not address.startswith(("http://", "https://")):
            raise ValueError("is not an http address")
        request = urllib.request.Request(address, data=body.encode())
        with urllib.request.urlopen(request, timeout=SECONDS):
            return
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        host = urllib.parse.urlsplit(url).hostname or "its URL"  # the rest of it is a secret
        log.warning("the ping of %s did not get through (%s); the run goes on", host, reason)
