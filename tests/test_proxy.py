"""The page below a path, behind the proxies that people put before it: nginx, as docs/hosting/nginx.conf sets it up."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from playwright.sync_api import TimeoutError as NotSeen
from playwright.sync_api import expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from test_web_browser import MAP, MOVING
from web_support import ARTIFACTS, CHROMIUM, DESKTOP, PATIENCE_MS, ROOT, served

from glpn.errors import ConfigError
from glpn.web.address import Below, checked_root_path, reach_this_machine_directly
from glpn.web.runner import Host
from glpn.web.samples import SAMPLES

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
EXAMPLE = (ROOT / "docs" / "hosting" / "nginx.conf").read_text(encoding="utf-8")
# Of nginx itself: everything below the test's folder, as the user who runs the test.
AROUND = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/errors.log;
events {{ worker_connections 256; }}
http {{
  access_log off; proxy_max_temp_file_size 0; large_client_header_buffers 4 32k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {servers}
}}
"""
KINDS = ("strips", "keeps", "tls", "address")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def filled(example: str, *, app: str, port: int, folder: Path, name: str, tls: bool = True, strip: bool = True) -> str:
    """Return the documented configuration with this test's ports and files in the places of the example's."""
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{port}{' ssl' if tls else ''}",
        "127.0.0.1:7860": app.removeprefix("http://").rstrip("/"),
        "upstream glpn": f"upstream {name}",
        "http://glpn/": f"http://{name}{'/' if strip else ''}",
        "/etc/ssl/certs/depth.example.org.pem": str(folder / "cert.pem"),
        "/etc/ssl/private/depth.example.org.key": str(folder / "key.pem"),
        "server_name depth.example.org": "server_name 127.0.0.1",
    }
    for before, after in changes.items():
        assert before in example
        example = example.replace(before, after)
    return example if tls else re.sub(r"\n +ssl_\S+ +\S+", "", example)


def certify(folder: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
    pytest.fail(f"nginx did not start: {process.returncode}")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The page at /depth behind an nginx that takes the path away, one that leaves it, and the documented one with TLS.

    The app behind the fourth was told its whole address.
    """
    folder = tmp_path_factory.mktemp("nginx")
    certify(folder)
    ports = {name: free_port() for name in KINDS}
    with ExitStack() as stack:
        app = stack.enter_context(served("fake", folder / "app", GRADIO_ROOT_PATH="/depth"))
        whole = f"http://127.0.0.1:{ports['address']}/depth/"
        apps = {"address": stack.enter_context(served("fake", folder / "other", GRADIO_ROOT_PATH=whole))}
        servers = [
            filled(
                EXAMPLE,
                app=apps.get(name, app),
                port=port,
                folder=folder,
                name=name,
                tls=name == "tls",
                strip=name != "keeps",
            )
            for name, port in ports.items()
        ]
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, servers="\n".join(servers)))
        process = stack.enter_context(subprocess.Popen([str(NGINX), "-p", folder, "-c", folder / "nginx.conf"]))
        stack.callback(process.terminate)
        wait_for(ports["tls"], process)
        yield {name: f"http{'s' if name == 'tls' else ''}://127.0.0.1:{port}" for name, port in ports.items()}


@needs_nginx
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_the_page_names_is_there(addresses: dict[str, str], kind: str) -> None:
    with httpx.Client(base_url=addresses[kind], verify=False, trust_env=False) as client:
        assert client.get("/depth").headers["location"].endswith("/depth/")
        page = client.get("/depth/").text
        assert f'"root":"{addresses[kind]}/depth"' in page.replace("\\u002f", "/")
        named = set(re.findall(r"glpn-assets/[\w./-]+\.\w+", page))
        assert {"glpn-assets/plotly/plotly.min.js", "glpn-assets/samples/living_thumbnail.jpg"} <= named
        for path in (*named, "healthz", "theme.css", "gradio_api/info", "favicon.ico"):
            assert client.get(f"/depth/{path}").status_code == 200, path
        for path in ("glpn-assets/plotly/../../../page.py", "glpn-assets/samples/none.jpg", "glpn-assets/none/a"):
            assert client.get(f"/depth/{path}").status_code == 404, path


@needs_nginx
def test_the_api_answers_below_the_path(addresses: dict[str, str]) -> None:
    for kind in ("strips", "keeps"):
        client = Client(f"{addresses[kind]}/depth/", verbose=False, download_files=False)
        assert any(model["id"] == "rooms-b0" for model in client.predict(api_name="/models"))
        client.close()


@needs_nginx
@pytest.mark.browser
@pytest.mark.parametrize("kind", KINDS[:3])
def test_the_figures_draw_below_the_path(addresses: dict[str, str], kind: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    problems: list[str] = []
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, playwright.chromium.launch(**CHROMIUM) as browser:
        page = browser.new_page(**DESKTOP, ignore_https_errors=True)
        page.set_default_timeout(PATIENCE_MS)
        page.on("response", lambda answer: problems.append(answer.url) if answer.status >= 400 else None)
        page.goto(f"{addresses[kind]}/depth/")
        try:
            page.wait_for_selector(MOVING, state="attached", timeout=PATIENCE_MS / 4)
        except NotSeen:  # once in some hundred runs, beside other work; the cause is not known
            page.reload()
            page.wait_for_selector(MOVING, state="attached")
        page.locator("#tabs").get_by_role("tab", name="Depth", exact=True).click()
        page.wait_for_selector(MAP, state="attached")
        page.set_input_files("#photo input[type=file]", SAMPLES[3].photo)
        expect(page.locator("#status")).not_to_contain_text("(precomputed)")
        page.wait_for_function("document.querySelector('.sample img').naturalWidth > 0")
        page.screenshot(path=ARTIFACTS / f"proxy-{kind}.png")
    assert not problems


# --------------------------------------------------------------------------------- proxies in the app's environment


def start(folder: Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "app.py", "--port", str(free_port())]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(folder), "HF_HUB_OFFLINE": "1"} | variables
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_the_page_starts_whatever_proxies_the_environment_names(tmp_path: Path) -> None:
    nowhere = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
    with start(tmp_path, **nowhere, ALL_PROXY="socks5://127.0.0.1:9") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("Running on" in line for line in lines)
        process.terminate()
        assert "Traceback" not in "".join(lines)


def test_a_proxy_that_can_not_be_is_one_sentence(tmp_path: Path) -> None:
    with start(tmp_path, HTTPS_PROXY="wrong://somebody:secret@127.0.0.1:9") as process:
        said, _ = process.communicate()
    assert process.returncode == 2
    assert re.fullmatch(r"Error: Gradio can't be imported: .*HTTPS_PROXY.*\n", said), said
    assert "secret" not in said


# ---------------------------------------------------------------------------------------------- the path on its own


def told(request: Request) -> JSONResponse:
    return JSONResponse({"url": str(request.url), "path": request.scope["path"], "root": request.scope["root_path"]})


@pytest.mark.parametrize("sent", ["/depth/a/b", "/a/b"])
def test_a_path_is_the_same_whether_the_proxy_takes_it_away_or_not(sent: str) -> None:
    for routes in ([Route("/a/{rest}", told)], [Mount("/a", routes=[Route("/b", told)])]):
        client = TestClient(Below(Starlette(routes=routes), path="/depth"))
        answer = client.get(sent).json()
        assert answer["url"] == "http://testserver/depth/a/b"
        assert answer["root"] in ("/depth", "/depth/a")


def test_a_path_without_its_slash_leads_to_the_page() -> None:
    client = TestClient(Below(Starlette(routes=[Route("/", told)]), path="/depth"), follow_redirects=False)
    assert client.get("/depth?tab=3d").headers["location"] == "/depth/?tab=3d"
    assert client.get("/depth/").json()["path"] == "/depth/"


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("", ""),
        ("/", ""),
        ("/depth", "/depth"),
        ("depth/", "/depth"),
        ("/a/b-c_d.e/", "/a/b-c_d.e"),
        ("https://example.org", "https://example.org"),
        ("https://example.org:8443/depth/", "https://example.org:8443/depth"),
    ],
)
def test_a_root_path_is_a_path_or_an_address(monkeypatch: pytest.MonkeyPatch, given: str, root: str) -> None:
    assert checked_root_path(given) == root
    monkeypatch.setenv("GRADIO_ROOT_PATH", given)
    assert Host.of().root_path == checked_root_path() == root


@pytest.mark.parametrize(
    "given", ["C:/Program Files/depth", "/a b", "ftp://example.org", "https://", "/a?b=c", "/a#b", "http://h:x/"]
)
def test_anything_else_is_refused_in_one_sentence(given: str) -> None:
    with pytest.raises(ConfigError, match=r"Give the path .* such as /depth") as caught:
        checked_root_path(given)
    assert "\n" not in str(caught.value)


def test_a_link_to_a_space_leads_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Host.of().shared_at is None
    monkeypatch.setenv("SPACE_ID", "somebody/depth zoo")
    assert Host.of().shared_at == "https://huggingface.co/spaces/somebody/depth%20zoo"


def test_no_proxy_stands_between_the_app_and_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "intranet, localhost")
    monkeypatch.delenv("NO_PROXY", raising=False)
    reach_this_machine_directly("10.0.0.7")
    assert os.environ["no_proxy"] == "intranet,localhost,127.0.0.1,::1,10.0.0.7"
    assert os.environ["NO_PROXY"] == "localhost,127.0.0.1,::1,10.0.0.7"
