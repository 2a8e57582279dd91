"""train, evaluate, distill, synthesize and publish from end to end on tiny data."""

import csv
import hashlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from training_support import ALONE, TINY, scenes, tiny_glpn, write_pairs
from transformers import GLPNForDepthEstimation as TransformersGLPN

from glpn import load_estimator
from glpn.checkpoint import save_safetensors
from glpn.commands import main, training
from glpn.configuration import GLPNConfig
from glpn.datasets import Photos
from glpn.errors import ConfigError, ManifestError
from glpn.hub.upload import plan_upload
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.training.publish import Publication, write_publication
from glpn.training.recipe import RecipeRun, fresh_network, read_recipe, save_result
from glpn.training.teacher import ConvolutionalTeacher, Ensemble, TeacherConfig, save_teacher
from glpn.zoo import Zoo


@pytest.fixture(autouse=True)
def small_encoders(monkeypatch):
    """Let the presets be tiny, so that a whole command fits into seconds."""
    original = training.GLPNConfig.from_encoder.__func__

    def from_encoder(cls, encoder, **overrides):
        return original(cls, encoder, **(TINY | overrides))

    monkeypatch.setattr(training.GLPNConfig, "from_encoder", classmethod(from_encoder))


@pytest.fixture
def data(tmp_path):
    return write_pairs(tmp_path / "data", scenes(4))


@pytest.fixture
def folder(tmp_path):
    """A checkpoint folder."""
    tiny_glpn().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_train_then_evaluate_then_load(tmp_path, data, capsys):
    out = tmp_path / "run"
    arguments = ("train", "--root", data, "--init", "scratch", "--out", out, "--size", 64, 64, "--batch", 2)
    assert run(*arguments, "--epochs", 2, "--val-share", 0.25, "--ema", 0.9) == 0
    assert "scaled: AbsRel" in capsys.readouterr().out
    assert (out / "log.html").exists()
    image = np.full((70, 90, 3), 100, np.uint8)
    prediction = load_estimator(out / "model")(image)
    assert prediction.depth_m.shape == (70, 90)
    assert prediction.working_size == (64, 96)  # as it was trained
    reference = TransformersGLPN.from_pretrained(out / "model").eval()
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours = load_estimator(out / "model").model(pixels).predicted_depth
        assert torch.allclose(reference(pixels).predicted_depth, ours, atol=1e-4)

    scores = tmp_path / "scores.csv"
    assert run("evaluate", "--model", out / "model", "--root", data, "--csv", scores) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("delta1", "silog", "4 images"))
    with scores.open() as file:
        assert len(list(csv.DictReader(file))) == 5


def test_train_resumes_where_it_stopped(tmp_path, data):
    out = tmp_path / "run"
    arguments = ("train", "--root", data, "--init", "scratch", "--out", out, "--size", 64, 64, "--batch", 2)
    assert run(*arguments, "--epochs", 1, "--schedule", "constant") == 0
    assert run(*arguments, "--epochs", 2, "--schedule", "constant") == 0
    with (out / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_train_nyu_with_the_deep_loss_from_another_checkpoint(tmp_path, data, folder):
    lines = [f"rgb/scene-{n}.png depth/scene-{n}.png 518.9" for n in range(4)]
    (data / "train.txt").write_text("\n".join(lines))
    out = tmp_path / "run"
    assert run(
        "train", "--data", "nyu", "--root", data, "--list", data / "train.txt", "--val-list", data / "train.txt",
        "--init", folder, "--out", out, "--size", 64, 64, "--batch", 4, "--epochs", 1, "--deep",
        "--optimizer", "adamw", "--accumulate", 2, "--precision", "bfloat16", "--clip", 1,
    ) == 0  # fmt: skip
    assert (out / "model" / "model.safetensors").exists()


def test_training_starts_from_the_imagenet_encoder_by_default(tmp_path, data, monkeypatch):
    encoder = tiny_glpn(seed=5).glpn
    monkeypatch.setattr(training, "load_encoder", lambda name: encoder)
    out = tmp_path / "run"
    arguments = ("train", "--root", data, "--out", out, "--size", 64, 64, "--batch", 4, "--epochs", 1, "--lr", 0)
    assert run(*arguments) == 0
    trained = load_estimator(out / "model").model.glpn.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in encoder.state_dict().items())


def test_distill_makes_a_folder_that_loads(tmp_path, data, folder, capsys):
    out = tmp_path / "student"
    assert run(
        "distill", "--teacher", folder, "--student", "b0", "--images", data / "rgb", "--init", "scratch",
        "--out", out, "--steps", 3, "--batch", 2, "--size", 64, 64,
    ) == 0  # fmt: skip
    assert str(out / "model") in capsys.readouterr().out
    assert load_estimator(out / "model")(scenes(1)[0].rgb).depth_m.shape == (64, 64)
    assert isinstance(TransformersGLPN.from_pretrained(out / "model"), TransformersGLPN)


def test_synthesize_then_train_on_the_shards(tmp_path, capsys):
    out = tmp_path / "rooms"
    assert run("synthesize", "--frames", 1, "--seed", 3, "--size", 64, 64, "--out", out, "--scenes", "rooms") == 0
    assert "new frames" in capsys.readouterr().out
    trained = (
        "train",
        "--data",
        "shards",
        "--root",
        out,
        "--init",
        "scratch",
        "--out",
        tmp_path / "run",
        "--size",
        64,
        64,
    )
    assert run(*trained, "--epochs", 0.01) == 0


def test_rendering_without_a_ray_caster_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "glpn.synthesis.shards", None)
    assert run("synthesize", "--frames", 1, "--out", tmp_path / "rooms") == 1
    assert "pip install 'glpn[synthesize]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "--out", "x"), "needs data"),
        (("train", "--out", "x", "--root", "nowhere"), "not a folder"),
        (("train", "--out", "x", "--root", ".", "--data", "nyu"), "--list"),
        (("evaluate",), "needs data"),
        (("evaluate", "--root", ".", "--model", "nyu-b9"), "Unknown model"),
        (("synthesize", "--frames", "1", "--out", "x", "--scenes", "moons"), "Known: rooms"),
        (("train", "--recipe", "missing.toml", "--out", "x"), "missing.toml"),
        (("publish", "nowhere", "--repo", "a/b", "--id", "x-b0", "--title", "X", "--trained-on", "y", "--license", "z"),
         "not a folder"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_training_data_of_no_known_size_needs_one(data, tmp_path, capsys):
    assert run("train", "--root", data, "--init", "scratch", "--out", tmp_path / "run") == 1
    assert "--size" in capsys.readouterr().err


def test_the_robustness_option_prints_fifteen_rows(data, folder, capsys, monkeypatch):
    monkeypatch.setattr("glpn.evaluation.scores.STRENGTHS", (1,))
    assert run("evaluate", "--model", folder, "--root", data, "--robustness", "--resolution", 64) == 0
    assert capsys.readouterr().out.count("/") >= 15


# -------------------------------------------------------------------------------------------------------------- recipe

RECIPE = """
[model]
encoder = "b0"
max_depth_m = 10
working_short_side = 64
fx_over_width = 0.8

[data]
scenes = "rooms"
frames = 4
seed = 2
size = [64, 64]
views_per_scene = 2
scenes_per_shard = 1
held_out_every = 2

[augmentation]
size = [64, 64]
scale = 0.8

[[stage]]
name = "teacher"
task = "teacher"
channels = [4, 8, 16, 16, 32]
steps = 2
batch_size = 2

[[stage]]
name = "distill"
task = "glpn"
teacher = "teacher"
steps = 2
batch_size = 2
precision = "bfloat16"
augmentation = { cutdepth_chance = 0.5 }

[[stage]]
name = "finish"
task = "glpn"
start = "distill"
steps = 2
batch_size = 2
"""


def test_a_recipe_from_nothing_to_a_model(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    out = tmp_path / "run"
    assert run("train", "--recipe", tmp_path / "tiny.toml", "--out", out) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("Stage")] == [
        "Stage teacher",
        "Stage distill",
        "Stage finish",
    ]
    assert (out / "model" / "model.safetensors").stat().st_size < 200_000
    estimator = load_estimator(out / "model")
    assert estimator(scenes(1)[0].rgb).depth_m.shape == (64, 64)
    assert estimator.working_size((480, 640)) == (64, 96)  # as it was trained, and not as the published models were
    assert estimator.spec.camera.fx_over_width == 0.8
    assert run("train", "--recipe", tmp_path / "tiny.toml", "--out", out) == 0
    assert "Stage" not in capsys.readouterr().out


def test_a_stage_starts_from_the_one_it_names(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    recipe = read_recipe(tmp_path / "tiny.toml")
    assert [stage.name for stage in recipe.stages] == ["teacher", "distill", "finish"]
    assert recipe.stages[1].settings.augmentation.cutdepth_chance == 0.5
    assert recipe.stages[2].settings.augmentation.cutdepth_chance == 0.25
    runner = RecipeRun(recipe, tmp_path / "run", ALONE)
    runner.result("distill").parent.mkdir(parents=True)
    network = fresh_network(recipe.config)
    torch.save(network.state_dict(), runner.result("distill"))
    started = runner._task(recipe.stages[2]).network.state_dict()
    assert all(torch.equal(value, started[name]) for name, value in network.state_dict().items())


def test_a_recipe_starts_from_a_network_that_was_given_and_learns_from_an_ensemble(tmp_path, capsys):
    config = GLPNConfig.from_encoder("b0", max_depth=10.0)
    given = tmp_path / "given.safetensors"
    torch.manual_seed(0)
    network = GLPNForDepthEstimation(config)
    save_safetensors(network.state_dict(), given)
    checksum = hashlib.sha256(given.read_bytes()).hexdigest()
    text = f"""[given]
path = {json.dumps(str(given))}
sha256 = "{checksum}"
""" + RECIPE.replace('teacher = "teacher"\n', ENSEMBLE)
    (tmp_path / "tiny.toml").write_text(text)
    runner = RecipeRun(read_recipe(tmp_path / "tiny.toml"), tmp_path / "run", ALONE)
    save_teacher(ConvolutionalTeacher(TeacherConfig(channels=(4, 8, 16, 16, 32))), made(runner, "teacher"))
    task = runner._task(runner.recipe.stages[1])
    assert all(torch.equal(value, task.network.state_dict()[name]) for name, value in network.state_dict().items())
    (ensemble,) = task._teacher
    assert isinstance(ensemble, Ensemble) and ensemble.short_sides == (64, 32)
    assert isinstance(ensemble.networks[1], GLPNForDepthEstimation)
    given.write_bytes(b"another")
    with pytest.raises(ConfigError, match="starts from"):
        runner._task(runner.recipe.stages[1])
    given.unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        runner._task(runner.recipe.stages[1])


def test_photos_without_depth_are_seen_where_a_teacher_tells_it(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (64, 48)).save(photos / name)
    (tmp_path / "tiny.toml").write_text(
        RECIPE.replace("[data]", f"[data]\nmore_photos = {json.dumps([str(photos)] * 3)}")
    )
    labelled = Photos.in_folder(photos)  # one for each: what they are does not matter here
    seen = []

    class Noting:
        def __init__(self, task, pairs, *_, **__):
            seen.append(len(pairs))

        def run(self):
            return SimpleNamespace(finished=False)

    monkeypatch.setattr(RecipeRun, "pairs", lambda self: (labelled, labelled))
    monkeypatch.setattr("glpn.training.recipe.Trainer", Noting)
    runner = RecipeRun(read_recipe(tmp_path / "tiny.toml"), tmp_path / "run", ALONE)
    assert runner.train() is None
    save_teacher(ConvolutionalTeacher(TeacherConfig(channels=(4, 8, 16, 16, 32))), made(runner, "teacher"))
    assert runner.train() is None
    assert seen == [2, 2 + 3 * 2]


ENSEMBLE = """start = "given"
ensemble = [{ stage = "teacher", short_side = 64 }, { stage = "given", short_side = 32 }]
"""


def made(runner, stage):
    path = runner.result(stage)
    path.parent.mkdir(parents=True)
    return path


def test_half_precision_changes_little(tmp_path):
    network = tiny_glpn().eval()
    save_result(network, tmp_path)
    images = torch.rand(1, 3, 64, 64)
    half = load_estimator(tmp_path).model(images).predicted_depth
    assert torch.allclose(half, network(images).predicted_depth, rtol=0.02)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('teacher = "teacher"', 'teacher = "somebody"', "somebody"),
        ('task = "teacher"', 'task = "cook"', "cook"),
        ('teacher = "teacher"', 'ensemble = [{ stage = "nobody", short_side = 64 }]', "nobody"),
        ("[model]", "[model", "can't be read"),
        ('encoder = "b0"', 'decoder = "b0"', "encoder"),
        ("size = [64, 64]\nscale", "size = [60, 64]\nscale", "multiples of 32"),
    ],
)
def test_recipes_that_can_not_be(tmp_path, old, new, says):
    (tmp_path / "bad.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=says):
        read_recipe(tmp_path / "bad.toml")


@pytest.mark.parametrize("name", ["rooms-b0", "rooms-b0-closeups", "rooms-b0-ensemble", "streets-b0"])
def test_the_committed_recipes_can_be_read(pytestconfig, name):
    recipe = read_recipe(pytestconfig.rootpath / "recipes" / f"{name}.toml")
    assert recipe.stages[-1].task == "glpn"


# ------------------------------------------------------------------------------------------------------------- publish

PUBLISH = (
    "--repo", "me/rooms", "--id", "rooms-tiny", "--title", "Tiny rooms", "--trained-on", "eight pictures",
    "--license", "Apache-2.0", "--working-short-side", "64", "--fx-over-width", "0.9",
)  # fmt: skip


def test_publish_writes_card_and_row_and_compares_with_the_hub(folder, server, capsys, tmp_path):
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps([{"dataset": "toys", "delta1": 0.5, "source": "measured by the test"}]))
    assert run("publish", folder, *PUBLISH, "--metrics", metrics, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert printed.count("new ") == 5
    assert "Nothing was uploaded" in printed

    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "eight pictures" in card
    assert "| δ1 | 0.5 |" in card
    spec = Zoo.load(extra=[folder / "manifest_row.json"])["rooms-tiny"]
    assert spec.source.repo_id == "me/rooms"
    assert spec.parameters == sum(p.numel() for p in tiny_glpn().parameters())
    assert spec.metrics[0].dataset == "toys"


def test_what_a_recipe_trained_is_published_at_its_size_and_camera(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"working_short_side": 96, "fx_over_width": 0.7}))
    about = Publication(
        id="rooms-x", title="X", repo_id="me/x", head="x", license="MIT", license_note="n", trained_on="t"
    )
    spec = write_publication(folder, about)
    assert (spec.working_short_side, spec.camera.fx_over_width, spec.camera.fx_px) == (96, 0.7, 89.6)
    assert "short side 96" in (folder / "README.md").read_text()
    for nonsense in (True, 0, -3, "96", 1e9, [96]):
        wrong = {"working_short_side": nonsense, "fx_over_width": nonsense}
        (folder / "config.json").write_text(json.dumps(config | wrong))
        spec = write_publication(folder, about)
        assert (spec.working_short_side, spec.camera.fx_over_width) == (480, 0.8107)


def test_a_repository_that_exists_is_compared_file_by_file(folder, server):
    server.repo("me/rooms").commit({"config.json": b"{}", "old.txt": b"x"})
    changes = {upload.name: upload.change for upload in plan_upload(folder, "me/rooms")}
    assert changes == {"config.json": "changed", "model.safetensors": "new", "preprocessor_config.json": "new"}


def test_a_row_that_breaks_the_schema_is_refused(folder):
    about = Publication(
        id="Not An Id", title="X", repo_id="me/x", head="x", license="MIT", license_note="n", trained_on="t",
        working_short_side=64, fx_over_width=0.9,
    )  # fmt: skip
    with pytest.raises(ManifestError):
        write_publication(folder, about)
    assert not (folder / "manifest_row.json").exists()
