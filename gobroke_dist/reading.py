"""What comes in parts, as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterable


async def read_whole(parts: AsyncIterable[bytes], most: int, announced: int | None = None) -> bytes | None:
    """All of a body; None: it is larger than it may be, and was not read to its end.

    Args:
        parts: as they come.
        most: bytes that it may have.
        announced: bytes that it is said to have.
    """
    if (announced or 0) > most:
        return None
    whole = bytearray()
    async for part in parts:
        whole += part
        if len(whole) > most:
            return None
    return bytes(whole)
