"""docs/HOSTING.md and its files say what the app understands. tests/test_proxy.py runs the nginx.conf."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from glpn.commands import make_parser
from glpn.web.serve import LAST_JOB_S

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "HOSTING.md").read_text(encoding="utf-8")
FOLDER = ROOT / "docs" / "hosting"
UNIT = FOLDER / "glpn.service"
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "glpn").rglob("*.py"))
GRADIOS = {"GRADIO_SERVER_PORT"}  # read by Gradio alone
HUBS = {"HF_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"}


def unit() -> dict[str, list[str]]:
    entries: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE):
        entries.setdefault(name, []).append(value)
    return entries


def test_every_option_and_variable_is_one_of_the_apps() -> None:
    table = GUIDE.partition("## Settings")[2]
    options = set(re.findall(r"`(--[\w-]+)`", table))
    text = make_parser("demo").parse_args  # options that don't exist end the program
    for option in options:
        text(["demo", option, *(["1"] if option not in ("--mcp", "--private") else [])])
    for variable in re.findall(r"`([A-Z_]{5,})`", table):
        assert variable in SOURCE or variable in HUBS | GRADIOS, variable


def test_every_file_that_is_named_is_there() -> None:
    for path in re.findall(r"\]\((?!http)([\w./-]+)\)", GUIDE):
        assert (ROOT / "docs" / path).is_file(), path
    for path in re.findall(r"(?:-f|cp) (docs/\S+)", GUIDE):
        assert (ROOT / path).is_file(), path


def test_no_way_takes_more_than_a_dozen_lines() -> None:
    for section in GUIDE.split("\n## ")[1:-1]:
        lines = [line for line in section.splitlines()[1:] if line.strip() and not line.startswith("```")]
        assert len(lines) <= 12, section.splitlines()[0]


def test_the_compose_file_runs_the_image_as_the_dockerfile_has_it() -> None:
    compose = yaml.safe_load((FOLDER / "docker-compose.yml").read_text(encoding="utf-8"))
    service = compose["services"]["glpn"]
    assert (FOLDER / service["build"]).resolve() == ROOT
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert service["ports"][0].endswith(":" + re.search(r"^EXPOSE (\d+)", dockerfile, re.MULTILINE)[1])  # type: ignore[index]
    volume, _, inside = service["volumes"][0].partition(":")
    assert volume in compose["volumes"]
    assert f"VOLUME {inside}" in dockerfile
    assert int(service["stop_grace_period"].removesuffix("s")) > LAST_JOB_S


def test_the_unit_starts_the_app() -> None:
    entries = unit()
    program, script, *arguments = shlex.split(entries["ExecStart"][0])
    assert program.startswith(entries["WorkingDirectory"][0])
    assert (ROOT / script).is_file()
    args = make_parser("demo").parse_args(["demo", *arguments])
    assert f"server {args.host}:{args.port};" in (FOLDER / "nginx.conf").read_text(encoding="utf-8")
    assert float(entries["TimeoutStopSec"][0]) > LAST_JOB_S
    variables = dict(entry.split("=", 1) for entry in entries["Environment"])
    assert variables["HF_HOME"].startswith("/var/lib/" + entries["StateDirectory"][0])
    assert variables["GRADIO_TEMP_DIR"] == "/var/cache/" + entries["CacheDirectory"][0]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_reads_the_unit() -> None:
    checked = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True)
    complaints = [
        line for line in checked.stderr.splitlines() if "not executable" not in line and "glpn.service" in line
    ]
    assert not complaints
