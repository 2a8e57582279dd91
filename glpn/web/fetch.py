"""A photo that an API client names by its address. Gradio would fetch it whole, however large, before we hear of it."""

import asyncio
import secrets
from pathlib import Path
from urllib.parse import urljoin

import httpx
import safehttpx

from glpn.errors import PhotoError

MOST_REDIRECTS = 5
WITHIN_S = 30.0


class PhotoNotFetched(PhotoError):
    """The address gave no photo."""


async def fetch(
    url: str,
    folder: Path,
    *,
    most_bytes: int,
    within_s: float = WITHIN_S,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Path:
    """Return a new file below `folder` with what `url` holds. Only public addresses are asked, redirects included.

    transport   what the request goes through instead of a connection to the checked address; for tests

    Raises `PhotoNotFetched` with one and the same sentence whatever the reason, so that nobody learns what answers.
    """
    path = folder / secrets.token_hex(16) / (Path(httpx.URL(url).path).name[:100] or "photo")

    async def follow() -> bool:
        following: str | None = url
        for _ in range(MOST_REDIRECTS):
            following = await _get(str(following), path, most_bytes, transport)
            if following is None:
                return True
        return False

    try:
        if await asyncio.wait_for(follow(), within_s):
            return path
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError, asyncio.TimeoutError):
        pass
    path.unlink(missing_ok=True)
    raise PhotoNotFetched(
        f"The photo can't be fetched: its address has to be public, hold at most {most_bytes // 1_000_000} MB and "
        f"answer within {within_s:.0f} s. Or upload the file itself."
    )


async def _get(url: str, path: Path, most_bytes: int, transport: httpx.AsyncBaseTransport | None) -> str | None:
    """Write what `url` holds to `path`; return where it redirects to instead, if it does."""
    if transport is None:
        transport = safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(httpx.URL(url).host))
    async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", url) as answer:
        if answer.has_redirect_location:
            return urljoin(url, answer.headers["location"])
        answer.raise_for_status()
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = 0
        with path.open("wb") as file:
            async for chunk in answer.aiter_bytes():
                taken += len(chunk)
                if taken > most_bytes:
                    raise ValueError("too large")
                file.write(chunk)
    return None
