"""The manifest, its schema and its parser; the zoo's commands; what a wheel carries."""

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glpn import hub
from glpn.checkpoint import load_config, load_state
from glpn.commands import main
from glpn.commands.zoo import TABLE_BEGIN, TABLE_END, table
from glpn.configuration import ENCODERS, GLPNConfig
from glpn.errors import CheckpointError, ManifestError, UnknownModel, VariantNotTrained
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.zoo import MANIFEST, PACKAGE, ModelSpec, Zoo, locate, parse_manifest
from glpn.zoo.lock import set_value

ROOT = Path(__file__).parents[1]
TEXT = MANIFEST.read_text(encoding="utf-8")
SCHEMA = json.loads((MANIFEST.with_name("weights_manifest.schema.json")).read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(autouse=True)
def no_manifest_of_the_user(monkeypatch):
    monkeypatch.delenv("GLPN_MANIFEST", raising=False)


@pytest.fixture(scope="module")
def zoo():
    return Zoo.load(MANIFEST)


def row(**changes):
    """A row that is right, with changes."""
    return copy.deepcopy(json.loads(TEXT)["variants"][0]) | {"id": "mine"} | changes


def write(path, *rows):
    path.write_text(json.dumps({"schema": 1, "variants": rows}))
    return path


# ---- The manifest ----


def test_the_manifest_obeys_its_schema():
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(json.loads(TEXT))


def test_all_twelve_variants_and_what_they_are(zoo):
    for head in ("nyu", "kitti"):
        for encoder in ENCODERS:
            spec = zoo[f"{head}-{encoder}"]
            assert (spec.head, spec.encoder) == (head, encoder)
            assert spec.status == ("published" if encoder == "b4" else "untrained")
            if encoder != "b4":
                assert spec.source.repo_id == f"nvidia/mit-{encoder}"
    assert zoo["nyu-b4"].max_depth_m == 10
    assert zoo["kitti-b4"].max_depth_m == 80
    assert "times 8" in str(zoo["kitti-b4"].max_depth_note)
    for name in ("nyu-b4", "kitti-b4"):
        assert "non-commercial" in zoo[name].license_note
        assert "apache-2.0" in zoo[name].license_note
    assert {"rooms-b0", "nyu-b4", "kitti-b4"} <= {spec.id for spec in zoo.ready}


def test_digests_are_null_or_of_a_measured_file(zoo):
    """A digest comes with a size, and in a repository with the commit that it was measured at."""
    for spec in zoo:
        for file in spec.source.files:
            assert (file.sha256 is None) == (file.size is None)
            if file.sha256 and spec.source.repo_id:
                assert file.revision or spec.source.revision


@pytest.mark.parametrize("encoder", ENCODERS)
def test_parameters_are_counted(zoo, encoder):
    with torch.device("meta"):
        model = GLPNForDepthEstimation(GLPNConfig.from_encoder(encoder))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert {spec.parameters for spec in zoo if spec.encoder == encoder} == {count}


def test_what_is_embedded_is_what_the_manifest_says(zoo):
    embedded = [spec for spec in zoo if spec.status == "embedded"]
    assert embedded
    for spec in embedded:
        located = locate.locate(spec.id, zoo=zoo)
        config = load_config(located.config)
        assert (config.encoder, config.max_depth) == (spec.encoder, spec.max_depth_m)
        assert load_state(located.weights)
        assert sum(file.stat().st_size for file in located.weights.parent.iterdir()) < 10e6
        card = (located.weights.parent / "README.md").read_text(encoding="utf-8")
        assert str(spec.source.weights[0].sha256) in card
        assert f"{spec.parameters:,}" in card


def test_unknown_names_and_untrained_variants_say_what_to_do(zoo):
    with pytest.raises(UnknownModel, match=r"Unknown model 'nyu-b9'\. Known: rooms-b0, .*zoo list"):
        zoo["nyu-b9"]
    for name in ("nyu-b9", "./nowhere", "/nowhere/at/all", "a/b/c", ""):
        with pytest.raises(UnknownModel):
            locate.locate(name, zoo=zoo)
    with pytest.raises(VariantNotTrained, match=r"nvidia/mit-b2 is public.*train.*distil.*'owner/name'.*rooms-b0"):
        locate.locate("nyu-b2", zoo=zoo)


def test_a_users_rows_are_added_and_may_replace(tmp_path, monkeypatch, zoo):
    own = write(tmp_path / "own.json", row(id="mine"), row(id="nyu-b0", title="Mine too"))
    monkeypatch.setenv("GLPN_MANIFEST", str(own))
    loaded = Zoo.load()
    assert len(loaded) == len(zoo) + 1
    assert loaded["nyu-b0"].title == "Mine too"
    assert loaded["mine"].manifest == own
    other = write(tmp_path / "other.json", row(id="theirs"))
    assert {"mine", "theirs"} <= {spec.id for spec in Zoo.load(extra=[other])}


def test_a_users_own_folder_beside_his_manifest(tmp_path, zoo):
    folder = tmp_path / "models" / "mine"
    shutil.copytree(zoo["rooms-b0"].folder, folder)
    source = {"kind": "folder", "path": "models/mine", "files": row()["source"]["files"]}
    own = Zoo.load(extra=[write(tmp_path / "own.json", row(status="local", source=source))])
    assert locate.locate("mine", zoo=own).weights == folder / "model.safetensors"
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match=r"not the file that own\.json lists"):
        locate.locate("mine", zoo=own)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        locate.verify(own["mine"])


def change(document, path, value):
    target = document
    for step in path[:-1]:
        target = target[step]
    if value is KeyError:
        del target[path[-1]]
    else:
        target[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("id",), "Nyu B4", '"id" is "Nyu B4"'),
        (("id",), KeyError, 'lacks "id"'),
        (("surprise",), 1, 'unknown keys: "surprise"'),
        (("encoder",), "b6", "not one of b0"),
        (("max_depth_m",), 0, "not greater than 0"),
        (("max_depth_m",), "10", "not a number"),
        (("max_depth_m",), True, "not a number"),
        (("status",), "published", "of kind 'package' is 'embedded'"),
        (("source", "path"), "../secrets", "climbs out"),
        (("source", "path"), "/etc", '"path" is "/etc"'),
        (("source", "path"), "weights/./rooms-b0", "climbs out"),
        (("source", "files", 0, "name"), "../../.ssh/model.safetensors", "climbs out"),
        (("source", "files", 0, "name"), "..\\model.safetensors", '"name"'),
        (("source", "files", 0, "sha256"), "abc", '"sha256"'),
        (("source", "files", 0, "size"), -1, '"size"'),
        (("source", "files"), [], "no weight file"),
        (("source", "files", 0, "ref"), "main", "unknown keys"),
        (("source",), "weights", "not an object"),
        (("working_short_side",), 16, "from 32"),
        (("camera", "fx_px"), None, '"fx_px" is null'),
        (("metrics",), {}, "not a list"),
        (("metrics",), [{"dataset": "x", "source": "y"}], "has no value"),
        (("license",), " ", '"license"'),
    ],
)
def test_what_breaks_the_schema_is_refused_and_named(tmp_path, path, value, words):
    document = {"schema": 1, "variants": [row()]}
    change(document, ("variants", 0, *path), value)
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(ManifestError) as caught:
        parse_manifest(json.dumps(document), path=tmp_path / "own.json")
    assert words in str(caught.value)
    assert "own.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "not an object"),
        ('{"schema": 2, "variants": []}', '"schema" is not 1'),
        ('{"schema": 1, "schema": 1, "variants": []}', "stands twice"),
        ('{"schema": 1, "variants": [NaN]}', "NaN"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({"schema": 1, "variants": [row(), row()]}), "has the id 'mine' of an earlier one"),
    ],
)
def test_what_is_no_manifest(tmp_path, text, words):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, path=tmp_path / "own.json")
    assert words in str(caught.value)


def test_manifests_that_cant_be_read(tmp_path):
    with pytest.raises(ManifestError, match="There is no manifest"):
        Zoo.load(extra=[tmp_path / "nowhere.json"])
    (tmp_path / "latin.json").write_bytes(b"\xff")
    with pytest.raises(ManifestError, match="can't be read"):
        Zoo.load(extra=[tmp_path / "latin.json"])
    with pytest.raises(ManifestError, match="not a regular file"):
        Zoo.load(extra=[tmp_path])
    (tmp_path / "large.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(ManifestError, match="larger than 4 MiB"):
        Zoo.load(extra=[tmp_path / "large.json"])
    with pytest.raises(ManifestError, match="There is no manifest"):
        Zoo.load(extra=["~nobody-of-this-name/own.json"])


def test_a_manifest_as_windows_writes_it(tmp_path):
    (tmp_path / "own.json").write_text(json.dumps({"schema": 1, "variants": [row()]}), encoding="utf-8-sig")
    assert "mine" in Zoo.load(extra=[tmp_path / "own.json"])


@pytest.mark.parametrize(
    "document",
    [
        {"schema": 1, "variants": [{"id": "\x1b[2J\u202e\x9b"}]},
        {"schema": 1, "variants": [], "\x9b\ud800": 1},
        {"schema": 1, "variants": [{"id": json.loads("[" * 900 + "]" * 900)}]},
        {"schema": 10**400, "variants": []},
        {"schema": 1, "variants": {"a": 1}},
    ],
)
def test_what_a_manifest_holds_is_cleaned_before_it_is_shown(tmp_path, document):
    with pytest.raises(ManifestError) as refused:
        parse_manifest(json.dumps(document), path=tmp_path / "\x1b[31m.json")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_a_manifest_of_many_keys_takes_no_quadratic_time(tmp_path):
    """100,000 keys, and 5,000 variants: a comparison of each with each would take minutes."""
    keys = json.dumps({"schema": 1, "variants": [], **{str(number): 0 for number in range(100_000)}})
    with pytest.raises(ManifestError, match="unknown keys"):
        parse_manifest(keys, path=tmp_path / "keys.json")
    rows = [row() | {"id": f"mine-{number}"} for number in range(5_000)]
    specs = parse_manifest(json.dumps({"schema": 1, "variants": rows}), path=tmp_path / "rows.json")
    assert len(specs) == 5_000


names = st.one_of(
    st.sampled_from(["model.safetensors", "a/b.bin", "../x.bin", "/x.bin", "a//b.bin", ".", "a/../b.safetensors", "x"]),
    st.text(max_size=12),
)
numbers = st.one_of(st.integers(-2, 100), st.floats(allow_nan=False), st.booleans(), st.none(), st.text(max_size=3))
digests = st.one_of(
    st.none(), st.text("0123456789abcdefg", min_size=39, max_size=41), st.just("0" * 64), st.just("a" * 40)
)
files = st.fixed_dictionaries(
    {"name": names, "sha256": digests, "size": numbers},
    optional={"ref": names, "revision": digests, "other": st.none()},
)
sources = st.fixed_dictionaries(
    {"kind": st.sampled_from(["package", "folder", "hub", "encoder", "web"]), "files": st.lists(files, max_size=3)},
    optional={
        "path": names,
        "repo_id": st.one_of(st.just("owner/name"), names),
        "ref": names,
        "revision": digests,
    },
)
metrics = st.fixed_dictionaries(
    {"dataset": st.text(max_size=3), "source": st.text(max_size=3)},
    optional={"delta1": numbers, "rmse": numbers, "speed": numbers},
)
rows = st.fixed_dictionaries(
    {
        "id": st.one_of(st.just("mine"), st.text(max_size=5)),
        "title": st.text(max_size=5),
        "head": st.one_of(st.just("nyu"), st.text(max_size=3)),
        "encoder": st.sampled_from([*ENCODERS, "b6", None, 4]),
        "max_depth_m": numbers,
        "status": st.sampled_from(["embedded", "local", "published", "untrained", "ready"]),
        "source": sources,
        "working_short_side": numbers,
        "camera": st.fixed_dictionaries({"fx_over_width": numbers}, optional={"fx_px": numbers, "fy": numbers}),
        "license": st.text(max_size=3),
        "license_note": st.text(max_size=3),
        "metrics": st.lists(metrics, max_size=2),
        "parameters": numbers,
    },
    optional={"max_depth_note": st.one_of(st.none(), st.text(max_size=3))},
)


def test_a_whole_number_may_be_written_with_a_point():
    document = {"schema": 1, "variants": [json.loads(TEXT)["variants"][0] | {"parameters": 1.0}]}
    VALIDATOR.validate(document)
    (spec,) = parse_manifest(json.dumps(document), path=Path("own.json"))
    assert isinstance(spec.parameters, int)
    assert spec.parameters == 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_parser_accepts_what_the_schema_accepts_and_nothing_else(data):
    """Rows near the edge: one that is right, with some of its fields replaced by ones that may not be."""
    strange = data.draw(rows)
    taken = data.draw(st.lists(st.sampled_from(sorted(strange)), max_size=3, unique=True))
    good = data.draw(st.sampled_from(json.loads(TEXT)["variants"]))
    document = {"schema": 1, "variants": [good | {key: strange[key] for key in taken}]}
    try:
        (spec,) = parse_manifest(json.dumps(document), path=Path("own.json"))
    except ManifestError:
        assert not VALIDATOR.is_valid(document)
    else:
        VALIDATOR.validate(document)
        assert isinstance(spec, ModelSpec)
        assert spec.size_bytes > 0
        inside = [spec.source.path or "", *(file.name for file in spec.source.files)]
        assert all(os.path.normpath(Path("/base", path)).startswith("/base") for path in inside)


# ---- Commands ----


def test_list_shows_the_zoo_as_it_is(capsys, tmp_path, zoo):
    assert main(["zoo", "list", "--cache-dir", str(tmp_path)]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["variant", "status", "parameters", "size", "cached", "licence", "accuracy"]
    assert len(lines) == len(zoo)
    column = header.index("licence")
    for line, spec in zip(lines, zoo, strict=True):
        assert line.split()[:2] == [spec.id, spec.status]
        assert line[column:].startswith(spec.license)


def test_json_for_scripts(capsys, tmp_path, zoo):
    common = ["--json", "--cache-dir", str(tmp_path)]
    assert main(["zoo", "list", *common]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {entry["id"]: entry["cached"] for entry in listed}["rooms-b0"] is True
    assert main(["zoo", "info", "kitti-b4", *common]) == 0
    assert json.loads(capsys.readouterr().out)["max_depth_m"] == 80
    assert main(["zoo", "path", "rooms-b0", *common]) == 0
    assert Path(json.loads(capsys.readouterr().out)["weights"]).is_file()
    assert main(["zoo", "verify", "rooms-b0", *common]) == 0
    assert json.loads(capsys.readouterr().out) == {"rooms-b0": "3 files verified"}


def test_info_explains(capsys, tmp_path):
    assert main(["zoo", "info", "kitti-b4", "--cache-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for words in ("0 to 80 m", "times 8, is metres", "non-commercial", "61,220,903", "model.safetensors (refs/pr/1)"):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "nyu-b9"], "Unknown model 'nyu-b9'"),
        (["download", "nyu-b2"], "nyu-b2 is not trained"),
        (["remove", "rooms-b0"], "embedded, not a download"),
        (["list", "--manifest", "nowhere.json"], "There is no manifest"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_1(capsys, arguments, words):
    assert main(["zoo", *arguments]) == 1
    assert words in capsys.readouterr().err


SMALL, LARGE = b'{"max_depth": 10}', bytes(range(256)) * 100
PRETTY = """{
  "schema": 1, "variants": [
    {"id": "mine", "title": "Mine", "head": "nyu", "encoder": "b4",   "max_depth_m": 10,
     "status": "published",
     "source": {"kind": "hub", "repo_id": "me/mine", "files": [
       {"name": "config.json", "sha256": null, "size": null},
       {"name": "model.safetensors", "size": null, "sha256": null},
       {"name": "model.safetensors", "ref": "refs/pr/1", "revision": null, "sha256": null, "size": null},
       {"name": "model.safetensors", "ref": "refs/pr/2", "sha256": null, "size": null},
       {"name": "pytorch_model.bin", "sha256": null, "size": null}]},
     "working_short_side": 480, "camera": {"fx_over_width": 0.8, "fx_px": 500},
     "parameters": 5, "license": "“ä”", "license_note": "x", "metrics": []}
  ]
}
"""


def test_lock_fills_in_commits_and_digests_and_keeps_the_rest(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    repo = server.repo("me/mine")
    main_commit = repo.commit({"config.json": SMALL, "model.safetensors": LARGE})
    pull_commit = repo.commit({"model.safetensors": LARGE[::-1]}, ref="refs/pr/1")
    own = tmp_path / "own.json"
    own.write_text(PRETTY, encoding="utf-8")
    link = tmp_path / "link.json"
    link.symlink_to(own)
    assert main(["zoo", "lock", "mine", "--manifest", str(link)]) == 0
    assert f"mine: revision {main_commit}" in capsys.readouterr().out
    assert link.is_symlink()

    spec = Zoo.load(extra=[own])["mine"]
    assert spec.source.revision == main_commit
    config, weights, pull, gone, missing = spec.source.files
    assert (config.sha256, config.size) == (hashlib.sha256(SMALL).hexdigest(), len(SMALL))
    assert (weights.sha256, weights.size) == (hashlib.sha256(LARGE).hexdigest(), len(LARGE))
    assert (pull.sha256, pull.revision) == (hashlib.sha256(LARGE[::-1]).hexdigest(), pull_commit)
    assert gone.sha256 is missing.sha256 is gone.revision is None
    text = own.read_text(encoding="utf-8")
    assert text.count("\n") == PRETTY.count("\n")
    assert '"encoder": "b4",   "max_depth_m": 10,' in text
    assert "“ä”" in text

    assert main(["zoo", "lock", "mine", "--manifest", str(own)]) == 0
    assert "Nothing changed." in capsys.readouterr().out
    assert own.read_text(encoding="utf-8") == text


def test_lock_measures_local_files_again(tmp_path, zoo, capsys):
    shutil.copytree(zoo["rooms-b0"].folder, tmp_path / "mine")
    (tmp_path / "mine" / "config.json").write_text("{}")
    source = {"kind": "folder", "path": "mine", "files": row()["source"]["files"]}
    own = write(tmp_path / "own.json", row(status="local", source=source))
    assert main(["zoo", "lock", "mine", "--manifest", str(own), "--json"]) == 0
    assert {entry["key"] for entry in json.loads(capsys.readouterr().out)} == {"sha256", "size"}
    assert main(["zoo", "verify", "mine", "--manifest", str(own)]) == 0


def test_verify_finds_and_removes_what_changed_and_remove_removes_all(server, tmp_path, capsys):
    server.repo("me/mine").commit({"config.json": SMALL, "model.safetensors": LARGE})
    own = tmp_path / "own.json"
    own.write_text(PRETTY, encoding="utf-8")
    common = ["--manifest", str(own), "--cache-dir", str(tmp_path / "cache")]
    assert main(["zoo", "download", "mine", *common]) == 0
    weights = Path(capsys.readouterr().out.split()[-1])
    assert main(["zoo", "verify", "mine", *common]) == 0
    stat = weights.stat()
    weights.resolve().write_bytes(LARGE[::-1])
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # what the record can't see, `verify` does
    assert main(["zoo", "verify", "mine", *common]) == 1
    assert hashlib.sha256(LARGE[::-1]).hexdigest() in capsys.readouterr().out
    assert not weights.exists()
    assert main(["zoo", "download", "mine", *common]) == 0
    assert hub.bytes_on_disk("me/mine", cache_dir=tmp_path / "cache") > len(LARGE)
    assert main(["zoo", "remove", "mine", *common]) == 0
    assert not hub.bytes_on_disk("me/mine", cache_dir=tmp_path / "cache")
    assert "freed" in capsys.readouterr().out
    assert not list((tmp_path / "cache").glob("models--*"))
    assert main(["zoo", "remove", "mine", *common]) == 0
    assert "was not on this machine" in capsys.readouterr().out


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(documents, st.sampled_from([None, 1, 4]), st.data())
def test_a_value_is_set_without_touching_anything_else(document, indent, data):
    document = {"top": document}
    text = json.dumps(document, indent=indent)
    path, value = ["top"], document["top"]
    while isinstance(value, list | dict) and value and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        path.append(step)
        value = value[step]
    change(document, path, "new")
    changed = set_value(text, tuple(path), "new")
    assert json.loads(changed) == document
    assert json.loads(set_value(changed, ("another",), [1])) == document | {"another": [1]}


# ---- README and package ----


def test_the_readmes_table_is_the_manifests(zoo):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(f"{re.escape(TABLE_BEGIN)}.*?{re.escape(TABLE_END)}", readme, re.DOTALL)
    assert found, f"README.md lacks {TABLE_BEGIN} … {TABLE_END}"
    assert found[0] == table(zoo), "Put the output of `python -m glpn zoo table` into README.md."


def test_a_wheel_carries_manifest_and_weights(tmp_path, zoo):
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "glpn", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        assert archive.read("glpn/zoo/weights_manifest.json").decode() == TEXT
    code = "from glpn.zoo import Zoo, locate; print(locate.locate('rooms-b0', zoo=Zoo.load()).weights)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path / "installed")
