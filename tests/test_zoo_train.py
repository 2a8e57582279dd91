"""`glpn zoo train`: each of the ten recipes, in miniature, from scratch to a row that the page offers and runs."""

import json

import pytest
import tomllib
from huggingface_hub import constants
from small_data import TEST, TRAIN, write_small_data
from zoo_support import small_recipe, stock

from glpn.commands import main, zoo_train
from glpn.datasets import pairs_in_layout
from glpn.training.recipe import read_recipe
from glpn.training.variants import recipe_of
from glpn.web.choices import Choices
from glpn.web.parts.picker import offers, picker_html
from glpn.web.runner import Engine, Host
from glpn.web.serve import make_store
from glpn.zoo import MANIFEST, Zoo, read_manifest

UNTRAINED = [spec.id for spec in read_manifest(MANIFEST) if not spec.ready]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The stocked loopback Hub; this process keeps cache, settings and runs in a folder of its own."""
    stock(server)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("GLPN_MANIFEST", raising=False)
    monkeypatch.setattr(zoo_train, "recipe_of", small_recipe)
    monkeypatch.chdir(tmp_path)
    return server


def run(*arguments):
    return main(["zoo", *(str(argument) for argument in arguments)])


def train(name, data, *arguments):
    return run("train", name, "--data", data[name.split("-")[0]], *arguments)


@pytest.mark.parametrize("name", UNTRAINED)
def test_from_nothing_to_a_choice_of_the_page_that_runs(hub, data, name, capsys):
    assert len(UNTRAINED) == 10
    repo_id = f"me/glpn-{name}"
    assert train(name, data, "--accept-licenses", "--publish", repo_id) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert f"encoder   nvidia/mit-{name[-2:]}" in printed
    assert f"{name} is a choice of your page now" in printed

    zoo = Zoo.load()
    spec = zoo[name]
    assert (spec.status, spec.source.repo_id) == ("published", repo_id)
    assert spec.source.revision == hub.repo(repo_id).refs["main"]
    assert all(file.sha256 and file.size for file in spec.source.files)
    card = hub.repo(repo_id).commits[spec.source.revision]["README.md"].decode()
    figures = dict(spec.metrics[0].values)
    assert f"| δ1 | {figures['delta1']:.4g} | {0.915 if spec.head == 'nyu' else 0.967} |" in card

    engine = Engine(zoo, make_store(zoo), host=Host())
    html = picker_html(offers(zoo, engine.cached, reachable=True), name, other=True)
    assert f'data-model="{name}"' in html
    assert f'data-missing="{name}"' not in html
    photo = next(data[spec.head].rglob("*.jpg" if spec.head == "nyu" else "data/*.png"))
    prediction = engine.estimate(name, photo, Choices(res=64), report=lambda _: None, stopped=lambda: False)
    assert prediction.depth_m.min() >= 0 and prediction.depth_m.max() <= spec.max_depth_m


def test_nothing_is_asked_twice_and_a_run_that_was_stopped_goes_on(hub, data, capsys, monkeypatch, tmp_path):
    assert train("nyu-b1", data) == 1
    said = capsys.readouterr()
    assert "NVIDIA's own licence" in said.out
    assert "--accept-licenses" in said.err
    assert hub.count("GET", "nvidia/mit-b1") == 0

    recipe = small_recipe(Zoo.load()["nyu-b1"], Zoo.load()).replace("save_every = 500", "save_every = 1")
    (tmp_path / "often.toml").write_text(recipe)
    with monkeypatch.context() as patch:
        patch.setattr(zoo_train, "show_progress", interrupt_at(3))
        assert train("nyu-b1", data, "--recipe", "often.toml", "--accept-licenses") == 130
    assert run("train", "nyu-b1") == 0
    printed = capsys.readouterr().out
    assert "To be downloaded" not in printed.partition("The model is in")[2]
    folder = tmp_path / "runs" / "nyu-b1"
    assert [line.split(",")[0] for line in (folder / "paper" / "log.csv").read_text().splitlines()][1:] == ["4"]
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured[0]["dataset"] == f"NYU Depth V2, {TEST} test pairs"
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    assert run("train", "nyu-b1", "--publish", "me/b1", "--private") == 0
    assert hub.repo("me/b1").private
    assert json.loads((folder / "answers.json").read_text())["publish"] == "me/b1"


def interrupt_at(step):
    def progress(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return progress


def test_a_dry_run_reads_draws_and_times_and_trains_nothing(hub, data, capsys, tmp_path):
    assert train("kitti-b2", data, "--accept-licenses", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert f"training: {TRAIN - TRAIN // 50} samples, 64 × 192" in printed
    assert f"test: {TEST} samples" in printed
    assert "G products/s" in printed
    assert "Nothing was trained" in printed
    assert sorted(path.name for path in (tmp_path / "runs" / "kitti-b2").iterdir()) == [
        "answers.json", "recipe.toml", "samples.png",
    ]  # fmt: skip


def test_a_wrong_unit_is_noticed_before_hours_are_spent(hub, data, tmp_path, capsys):
    recipe = small_recipe(Zoo.load()["nyu-b0"], Zoo.load()).replace('layout = "nyu"', 'layout = "rgbd"\nscale = 1')
    (tmp_path / "wrong.toml").write_text(recipe)
    rgbd = tmp_path / "rgbd"
    for part, pattern in (("rgb", "rgb_*.jpg"), ("depth", "sync_depth_*.png")):
        (rgbd / part).mkdir(parents=True)
        for path in (data["nyu"] / "official_splits/test").rglob(pattern):
            (rgbd / part / path.name.removeprefix("sync_").replace("depth_", "rgb_")).symlink_to(path)
    assert run("train", "nyu-b0", "--data", rgbd, "--recipe", "wrong.toml", "--accept-licenses", "--dry-run") == 1
    assert "Check the scale" in capsys.readouterr().out


def test_distillation_takes_photos_and_measures_against_its_teacher(hub, data, capsys):
    assert run(
        "train", "kitti-b0", "--distill", "--data", data["kitti"] / "raw", "--test-data", data["kitti"],
        "--accept-licenses", "--publish", "me/distilled",
    ) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "teacher   kitti-b4 (vinvino02/glpn-kitti)" in printed
    assert "no depth" in printed
    card = hub.repo("me/distilled").commits[hub.repo("me/distilled").refs["main"]]["README.md"].decode()
    assert "photos, with kitti-b4 as the teacher" in card
    assert "non-commercial" in card


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "nyu-b2"), "--data"),
        (("train", "nyu-b2", "--data", "nowhere"), "not a folder"),
        (("train", "nyu-b2", "--data", "."), "nyudepthv2_train_files_with_gt.txt"),
        (("train", "nyu-b4", "--data", "."), "published already"),
        (("train", "rooms-b0", "--data", "."), "no recipe"),
        (("train", "nyu-b9", "--data", "."), "Unknown model"),
        (("train", "nyu-b2", "--data", ".", "--recipe", "missing.toml"), "missing.toml"),
        (("recipe", "rooms-b0"), "no recipe"),
        (("add", "nobody/nothing"), "nobody/nothing"),
        (("add", "vinvino02/glpn-kitti", "--id", "nyu-b4"), "published already"),
    ],
)
def test_mistakes_are_one_sentence(hub, capsys, arguments, says):
    accept = ["--accept-licenses"] if arguments[0] == "train" else []
    assert run(*arguments, *accept) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


# ------------------------------------------------------------------------------------------------------------ recipes


@pytest.mark.parametrize("name", UNTRAINED)
@pytest.mark.parametrize("distill", [False, True])
def test_recipes_are_the_papers(tmp_path, name, distill):
    zoo = Zoo.load()
    text = recipe_of(zoo[name], zoo, distill=distill)
    (tmp_path / "recipe.toml").write_text(text)
    recipe = read_recipe(tmp_path / "recipe.toml")
    (stage,) = recipe.stages
    settings = stage.settings
    assert recipe.config.encoder == zoo[name].encoder
    assert recipe.config.max_depth == zoo[name].max_depth_m
    assert settings.batch_size * settings.accumulate == 12
    assert settings.augmentation.size == ((448, 576) if name.startswith("nyu") else (352, 704))
    assert settings.augmentation.max_depth_m == zoo[name].max_depth_m
    if distill:
        assert stage.teacher_model == f"{zoo[name].head}-b4"
        assert stage.settings_for(1000, 1).steps == 40_000
    else:
        assert (stage.epochs, settings.peak_rate, settings.schedule) == (25, 1e-4, "one_cycle")
        assert settings.augmentation.cutdepth_chance == 0.25
        assert stage.settings_for(24_231, 1).steps == 25 * 24_231 // 12 + 1
        assert stage.settings_for(24_231, 2).validate_every == round(24_231 / 24)


def test_the_recipe_is_printed_and_made_for_the_memory_there_is(capsys):
    assert run("recipe", "nyu-b5") == 0
    small = tomllib.loads(capsys.readouterr().out)
    assert run("recipe", "nyu-b5", "--gpu-memory", "24") == 0
    large = tomllib.loads(capsys.readouterr().out)
    assert small["stage"][0]["batch_size"] < large["stage"][0]["batch_size"] == 12
    assert run("recipe", "nyu-b5", "--rehearsal", "--distill") == 0
    assert tomllib.loads(capsys.readouterr().out)["stage"][0]["steps"] == 4


# ------------------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize("head", ["nyu", "kitti"])
def test_both_layouts_are_read_as_they_are_unpacked(data, head, tmp_path):
    for part, count in (("train", TRAIN), ("test", TEST)):
        pairs = pairs_in_layout(head, data[head], part)
        assert len(pairs) == count
        pair = pairs[count - 1]
        assert pair.rgb.shape[:2] == pair.depth_m.shape
        assert pair.depth_m[pair.depth_m > 0].min() > 0.1 and pair.depth_m.max() <= 80
    if head == "kitti":
        assert pairs_in_layout(head, data[head], "train", crop=(32, 96))[0].rgb.shape == (32, 96, 3)
        # GLPDepth: dates and depth in one folder, lists elsewhere.
        lists = tmp_path / "eigen_benchmark"
        lists.mkdir()
        line = (data[head] / "eigen_train_files_with_gt.txt").read_text().split()
        (lists / "train_list.txt").write_text(f"/{line[0]} /{line[1]}\n")
        whole = tmp_path / "whole"
        whole.mkdir()
        for folder in (data[head] / "raw", data[head] / "data_depth_annotated" / "train"):
            for path in folder.iterdir():
                (whole / path.name).symlink_to(path)
        assert len(pairs_in_layout(head, whole, "train", lists=tmp_path)) == 1
        assert pairs_in_layout(head, whole, "train", lists=tmp_path)[0].depth_m.any()
