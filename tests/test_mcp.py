"""The endpoints as tools, through the official client of the Model Context Protocol over HTTP."""

import asyncio
import base64
import io
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from web_support import served

from glpn.errors import ConfigError
from glpn.web import serve
from glpn.web.samples import SAMPLES

mcp = pytest.importorskip("mcp")
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

PHOTO = "data:image/jpeg;base64," + base64.b64encode(SAMPLES[3].photo.read_bytes()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mcp")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served("embedded", folder, GRADIO_MCP_SERVER="true") as url:
        yield url


def asked(address: str, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    async def session() -> Any:
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await ask(session)

    return asyncio.run(session())


def called(address: str, name: str, **arguments: Any) -> Any:
    return asked(address, lambda session: session.call_tool(name, arguments))


def test_each_tool_tells_what_it_does_and_takes(address: str) -> None:
    tools = {tool.name: tool for tool in asked(address, lambda session: session.list_tools()).tools}
    assert set(tools) == {"estimate", "depth", "measure", "models"}
    for tool in tools.values():
        assert tool.description
        assert all(argument.get("description") for argument in tool.inputSchema["properties"].values()), tool.name


def test_depth_gives_a_picture_and_its_range(address: str, folder: Path) -> None:
    answer = called(address, "depth", photo=PHOTO)
    assert not answer.isError
    picture, *texts = answer.content
    assert picture.type == "image"
    with Image.open(io.BytesIO(base64.b64decode(picture.data))) as image:
        assert image.width > image.height > 300
    assert any("±" in text.text and "rooms-b0" in text.text for text in texts)
    sent = list(folder.rglob("*.jp*g"))
    assert sent, "what was sent lies where uploads are swept"


def test_a_client_that_asks_for_progress_gets_the_same(address: str) -> None:
    async def told(*_: Any) -> None:
        pass

    answer = asked(address, lambda session: session.call_tool("depth", {"photo": PHOTO}, progress_callback=told))
    assert [content.type for content in answer.content].count("image") == 1


def test_measure_gives_metres(address: str) -> None:
    answer = called(address, "measure", photo=PHOTO, x1=0.1, y1=0.9, x2=0.9, y2=0.9, relative=True)
    assert not answer.isError
    assert "distance_m" in answer.content[0].text


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("depth", {"photo": PHOTO, "model": "rooms-b9"}, "rooms-b9"),
        ("measure", {"photo": PHOTO, "x1": 1, "y1": 1, "x2": 10**6, "y2": 1}, "photo"),
    ],
)
def test_what_is_wrong_is_a_sentence(address: str, tool: str, arguments: dict[str, Any], sentence: str) -> None:
    answer = called(address, tool, **arguments)
    assert answer.isError
    assert sentence in answer.content[0].text
    assert "Traceback" not in answer.content[0].text


def test_without_the_package_the_start_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gradio.mcp", None)
    with pytest.raises(ConfigError, match=r"glpn\[mcp\]"):
        serve._prepare_tools(tmp_path)
