"""requirements.lock holds what requirements.txt pins, with hashes, and no address."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_lock_is_of_these_requirements():
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    entries = re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n    .*)*)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked = {name: version for name, version, _ in entries}
    assert "torch" not in pins.keys() | locked.keys()  # its builds differ in hashes; see the Makefile
    assert {name.replace("_", "-"): version for name, version in pins.items()}.items() <= locked.items()
    assert len(locked) > 40
    assert all("--hash=sha256:" in rest for *_, rest in entries)
    assert "://" not in (ROOT / "requirements.lock").read_text()
