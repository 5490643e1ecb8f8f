"""Take bytes as decisions, so that who makes the bytes, a fuzzer or a generator of examples, makes the decisions."""

import struct


class Choices:
    """Decisions are taken from the end of the bytes, raw data from their front; where nothing is left, all is 0.

    Parameters
    ----------
    data : the bytes
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        span, value, size = high - low, 0, 0
        while span >> size:
            value, size = value << 8 | self._last(), size + 8
        return low + value % (span + 1)

    def flag(self) -> bool:
        """Yes or no."""
        return self._last() % 2 == 1

    def raw(self, most: int) -> bytes:
        """Bytes from the front, `most` of them at most."""
        found, self._data = self._data[:most], self._data[most:]
        return found

    def text(self, most: int) -> str:
        """Text from the front; halves of surrogate pairs may be in it."""
        return self.raw(most).decode("utf-8", "surrogateescape")

    def real(self) -> float:
        """Any floating-point number, infinity and NaN among them."""
        return float(struct.unpack("<d", self.raw(8).ljust(8, b"\0"))[0])

    def _last(self) -> int:
        if not self._data:
            return 0
        last, self._data = self._data[-1], self._data[:-1]
        return last
