"""Hashing and keyed draws: the only randomness in instructify.

Every draw is a pure function of (key, row, number), so it is the same in any order, process,
engine or resumed build. The mixing step is the SplitMix64 finaliser (Steele, Lea and Flood 2014,
"Fast splittable pseudorandom number generators", section 4), applied three times with the two halves
of a 128-bit key added in between.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

U64: TypeAlias = "npt.NDArray[np.uint64]"
I64: TypeAlias = "npt.NDArray[np.int64]"

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB


def digest(*parts: str | int | bytes | None) -> bytes:
    """Return 32 bytes that depend on every part, its type and its place (BLAKE2b, length-prefixed)."""
    h = hashlib.blake2b(digest_size=32)
    for part in parts:
        if part is None:
            tag, data = b"n", b""
        elif isinstance(part, bytes):
            tag, data = b"b", part
        elif isinstance(part, int):
            tag, data = b"i", str(int(part)).encode()
        else:
            tag, data = b"s", part.encode("utf-8", "surrogatepass")
        h.update(tag + len(data).to_bytes(8, "little") + data)
    return h.digest()


def hexdigest(*parts: str | int | bytes | None) -> str:
    """Return `digest(*parts)` as 64 hexadecimal characters."""
    return digest(*parts).hex()


@dataclass(frozen=True, slots=True)
class Key:
    """A 128-bit key for draws, made from names with `Key.of("seed", 17, "dataset", ...)`."""

    low: int
    high: int

    @classmethod
    def of(cls, *parts: str | int | bytes | None) -> Key:
        """Derive a key from any parts; other parts, another key."""
        data = digest(*parts)
        return cls(int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little"))

    def draw(self, row: int, number: int = 0) -> int:
        """Return the 64-bit draw for one row and draw number."""
        x = _mix((row * _GOLDEN + self.low) & _MASK)
        x = _mix((x + number * _GOLDEN + self.high) & _MASK)
        return _mix((x ^ self.low) & _MASK)

    def below(self, limit: int, row: int, number: int = 0) -> int:
        """Return a draw in [0, limit), limit < 2**32."""
        return ((self.draw(row, number) >> 32) * limit) >> 32

    def draws(self, rows: npt.NDArray[np.integer], number: int = 0) -> U64:
        """Return `draw(row, number)` for every row, vectorised."""
        import numpy as np  # here, so that a template is linted without it

        with np.errstate(over="ignore"):
            x = _mix_array(rows.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(self.low))
            offset = np.uint64((number * _GOLDEN + self.high) & _MASK)
            return _mix_array(_mix_array(x + offset) ^ np.uint64(self.low))

    def belows(self, limit: int, rows: npt.NDArray[np.integer], number: int = 0) -> I64:
        """Return `below(limit, row, number)` for every row, vectorised."""
        import numpy as np

        high = self.draws(rows, number) >> np.uint64(32)
        return ((high * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)


def positions(key: Key, n: int, rows: npt.NDArray[np.integer]) -> I64:
    """Return each row's place in the keyed permutation of range(n), without making the permutation.

    A balanced Feistel network of six rounds over the smallest even-bit domain that holds n, walked
    until the value falls below n again (Black and Rogaway 2002, "Ciphers with arbitrary finite
    domains", cycle walking). `rows` must lie in [0, n).
    """
    import numpy as np

    half = max(1, ((n - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    out = rows.astype(np.uint64)
    todo = np.arange(len(out))
    while len(todo):
        x = out[todo]
        left, right = x >> shift, x & mask
        for number in range(6):
            left, right = right, left ^ (key.draws(right, number) & mask)
        x = (left << shift) | right
        out[todo] = x
        todo = todo[x >= np.uint64(n)]
    return out.astype(np.int64)


def _mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * _M1) & _MASK
    x = ((x ^ (x >> 27)) * _M2) & _MASK
    return x ^ (x >> 31)


def _mix_array(x: U64) -> U64:
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(_M1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_M2)
    return x ^ (x >> np.uint64(31))
