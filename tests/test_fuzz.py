"""The small ones of the hostile files, through the library and the command line; `make fuzz` runs them all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="each file is read in a fork of a warm process")
def test_hostile_files_end_as_a_result_or_one_sentence():
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.fuzz", "--quick"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    rows = dict(re.findall(r"^(photo|depth|camera|manifest|config|checkpoint) +(\d+) ", ended.stdout, re.MULTILINE))
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "BROKEN" not in ended.stdout
    assert int(rows["photo"]) >= 250
    assert all(int(count) >= 20 for count in rows.values()) and len(rows) == 6
