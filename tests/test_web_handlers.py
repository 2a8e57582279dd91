"""What the page does, without a browser: handlers are plain functions of a session and the choices."""

import base64
import io
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from hub_server import HubServer
from huggingface_hub import constants
from PIL import Image
from web_support import FakeStore

from glpn.camera import Camera
from glpn.errors import Cancelled, ConfigError, GLPNError, PhotoError, PhotoNotFound, UnknownModel, VariantNotTrained
from glpn.export import FORMATS
from glpn.metrics import METRICS
from glpn.prediction import DepthPrediction
from glpn.web import cards, compare, drawing, estimate, evaluate, zoo_page
from glpn.web.engine import Engine, Host
from glpn.web.guard import OUR_FAULT, plain_errors
from glpn.web.jobs import Progress, follow
from glpn.web.links import TABS, Choices
from glpn.web.samples import SAMPLES, TRUTH, VARIANT
from glpn.web.serve import make_store
from glpn.web.session import Result, Session, Sessions
from glpn.zoo import Zoo

PHOTO = str(SAMPLES[0].photo)


@pytest.fixture
def engine() -> Engine:
    zoo = Zoo.load()
    return Engine(zoo, FakeStore(zoo), host=Host())


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def run(session: Session, engine: Engine, photo: str | None = PHOTO, model: str = VARIANT, **choices: Any) -> list[Any]:
    return list(estimate.estimate(session, engine, photo, model, Choices(**choices), "depth"))


class TestEstimate:
    def test_shows_progress_then_the_result_with_its_status(self, session: Session, engine: Engine) -> None:
        *progress, last = run(session, engine)
        assert all("progress" in step for step in progress)
        assert json.loads(last["heatmap"])["data"][0]["type"] == "heatmap"
        assert "rooms-b0" in last["status"]
        assert "67° (from EXIF)" in last["status"]
        assert session.result is not None
        assert session.result.prediction.size == session.result.rgb.shape[:2]

    def test_a_field_of_view_replaces_exif(self, session: Session, engine: Engine) -> None:
        status = run(session, engine, camera="fov", fov=90.0)[-1]["status"]
        assert "90° (as you gave it)" in status

    def test_an_assumed_camera_is_called_assumed(self, session: Session, engine: Engine) -> None:
        assert "assumed, not known" in run(session, engine, camera="assumed")[-1]["status"]

    def test_tells_when_most_of_the_picture_is_at_the_limit(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        assert session.result is not None
        far = np.full_like(session.result.prediction.depth_m, 10.0)
        prediction = type(session.result.prediction)(**vars(session.result.prediction) | {"depth_m": far, "scale": 1.0})
        assert any("try a KITTI model" in sentence for sentence in cards.advice(prediction))

    @pytest.mark.parametrize(
        ("photo", "model", "error"),
        [
            (None, VARIANT, PhotoNotFound),
            (PHOTO, "nyu-b1", VariantNotTrained),
            (PHOTO, "", UnknownModel),
            (__file__, VARIANT, PhotoError),
        ],
    )
    def test_what_cannot_be_run_is_said_in_one_sentence(
        self, session: Session, engine: Engine, photo: str | None, model: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            run(session, engine, photo, model)

    def test_strangers_cannot_name_a_checkpoint_of_their_own(self, session: Session) -> None:
        zoo = Zoo.load()
        public = Engine(zoo, FakeStore(zoo), host=Host(public=True, own_checkpoints=False))
        with pytest.raises(UnknownModel, match="runs rooms-b0"):
            run(session, public, model="/etc")

    def test_a_download_reports_megabytes_and_rate(self, session: Session) -> None:
        zoo = Zoo.load()
        engine = Engine(zoo, FakeStore(zoo, steps=8), host=Host())
        sentences = [step["progress"] for step in run(session, engine, model="nyu-b4")]
        assert any("of 80 MB, 2.5 MB/s" in sentence for sentence in sentences)

    def test_stop_ends_a_download_within_a_second(self, session: Session) -> None:
        zoo = Zoo.load()
        engine = Engine(zoo, FakeStore(zoo, steps=1000), host=Host())
        steps = estimate.estimate(session, engine, PHOTO, "nyu-b4", Choices(), "depth")
        while "Downloading" not in next(steps)["progress"]:
            pass
        session.stop.set()
        start = time.perf_counter()
        with pytest.raises(Cancelled):
            list(steps)
        assert time.perf_counter() - start < 1

    def test_two_sessions_never_share(self, engine: Engine, tmp_path: Path) -> None:
        sessions = Sessions(tmp_path, uploads=tmp_path)
        one, two = sessions.open("one"), sessions.open("two")
        run(one, engine)
        assert two.result is None
        assert sessions.open("one") is one


class TestDrawing:
    def test_every_tab_draws_and_none_runs_the_model(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        asked = list(engine.store.asked)  # type: ignore[attr-defined]
        for tab in TABS:
            assert estimate.draw(session, tab, Choices(colors="magma"))
        assert engine.store.asked == asked  # type: ignore[attr-defined]

    @pytest.mark.parametrize("tab", ["depth", "slider", "3d", "statistics"])
    def test_new_colours_take_less_than_300_ms(self, session: Session, engine: Engine, tab: str) -> None:
        """Of the processor, so that what else the machine does doesn't count."""
        run(session, engine)
        estimate.draw(session, tab, Choices())
        seconds = []
        for colors in ("magma", "viridis", "cividis"):
            start = time.process_time()
            estimate.draw(session, tab, Choices(colors=colors))
            seconds.append(time.process_time() - start)
        assert min(seconds) < 0.3

    def test_figures_of_one_result_are_one_revision_and_of_two_results_two(
        self, session: Session, engine: Engine
    ) -> None:
        def revisions(**choices: Any) -> set[str]:
            layout = json.loads(estimate.draw(session, "3d", Choices(**choices))["surface"])["layout"]
            return {layout["uirevision"], layout["scene"]["uirevision"]}

        run(session, engine)
        first = revisions()
        assert len(first) == 1
        assert first == revisions(texture="depth", style="points", detail="draft")
        run(session, engine)
        assert first != revisions()

    def test_without_a_result_it_says_what_to_do(self, session: Session) -> None:
        with pytest.raises(GLPNError, match="press “Estimate depth”"):
            estimate.draw(session, "depth", Choices())


def test_a_figure_brings_a_still_picture_only_at_first(session: Session, engine: Engine) -> None:
    run(session, engine)
    first, later = (
        json.loads(estimate.draw(session, "depth", Choices(), first=first)["heatmap"])["layout"]["meta"]
        for first in (True, False)
    )
    assert "still" not in later
    kind, _, data = first["still"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert len(data) < 40_000
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.width / picture.height == pytest.approx(first["aspect"], rel=0.01)


class TestMeasure:
    @pytest.mark.parametrize("size", [(460, 611), (7, 5), (3000, 4000)])
    def test_the_depth_under_the_cursor_is_that_of_the_pixel_in_few_bytes(
        self, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        rng = np.random.default_rng(0)
        depth_m = rng.uniform(0.1, 80, size).astype(np.float32)
        depth_m[0, 0] = np.nan
        camera = Camera.from_fov(63, size)
        prediction = DepthPrediction(
            depth_m=depth_m, variant="x", max_depth_m=80, working_size=(32, 32), seconds=0, camera=camera
        )
        result = Result(name="x", rgb=np.zeros((1, 1, 3), np.uint8), prediction=prediction)
        about = drawing.depth_file(result, tmp_path)
        path = Path(about["src"].removeprefix("gradio_api/file="))
        assert path.stat().st_size == 2 * about["rows"] * about["columns"] <= 125_000
        shown = np.fromfile(path, "<u2").reshape(about["rows"], about["columns"]) * about["step"]
        height, width = size
        for row, column in rng.integers(0, (about["rows"], about["columns"]), (50, 2)):
            y, x = int((row + 0.5) * height / about["rows"]), int((column + 0.5) * width / about["columns"])
            # the page's way back from the pixel to the sample
            assert int((y + 0.5) / height * about["rows"]) == row
            assert int((x + 0.5) / width * about["columns"]) == column
            assert shown[row, column] == pytest.approx(np.nan_to_num(depth_m[y, x]), abs=0.001)

    def test_distance_is_straight_in_3d(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        estimate.pick_point(session, 100, 400)
        shown = estimate.pick_point(session, 500.4, 100)
        assert session.result is not None
        prediction = session.result.prediction
        points = prediction.camera.unproject(prediction.depth_m)
        expected = float(np.linalg.norm(points[400, 100] - points[100, 500]))
        assert shown["measure"]["lines"][0]["text"] == f"{expected:.2f} m"
        assert f"{expected:.2f} m" in shown["distances"]

    def test_a_click_outside_counts_as_the_border(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        estimate.pick_point(session, -5, 1e9)
        assert session.result is not None
        assert session.points == ((0, session.result.prediction.size[0] - 1),)

    def test_points_are_taken_back_and_cleared(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        for x in (1, 2, 3):
            estimate.pick_point(session, x, x)
        estimate.clear_points(session, last=True)
        assert session.points == ((1, 1), (2, 2))
        estimate.clear_points(session)
        assert session.points == ()


def test_every_format_is_offered_with_its_unit_and_size(session: Session, engine: Engine) -> None:
    run(session, engine)
    *_, last = estimate.write_files(session, Choices(detail="draft"))
    assert last["files"].count("download=") == len(FORMATS)
    assert "being written" not in last["files"]
    assert all(kind.unit in last["files"] for kind in FORMATS.values())


class TestSessions:
    def test_files_and_photo_vanish_when_the_session_ends(self, engine: Engine, tmp_path: Path) -> None:
        sessions = Sessions(tmp_path / "sessions", uploads=tmp_path)
        session = sessions.open("visitor")
        upload = tmp_path / "upload.jpg"
        upload.write_bytes(Path(PHOTO).read_bytes())
        session.uploads.add(upload)
        run(session, engine, str(upload))
        estimate.draw(session, "slider", Choices())
        assert list((tmp_path / "sessions").rglob("*.jpg"))
        sessions.close("visitor")
        assert not list((tmp_path / "sessions").rglob("*.jpg"))
        assert not upload.exists()
        assert session.stop.is_set()
        assert not len(sessions)

    def test_what_is_not_an_upload_is_never_deleted(self, tmp_path: Path) -> None:
        """Gradio tells of a sample photo as of the visitor's own when it is taken off the page."""
        uploads = tmp_path / "uploads"
        uploads.mkdir()
        sample, inside = tmp_path / "sample.jpg", uploads / "own.jpg"
        for path in (sample, inside):
            path.touch()
        (uploads / "link.jpg").symlink_to(sample)
        sessions = Sessions(uploads / "sessions", uploads=uploads)
        sessions.open("visitor").uploads |= {sample, inside, uploads / ".." / "sample.jpg", uploads / "link.jpg"}
        sessions.close("visitor")
        assert sample.exists()
        assert not inside.exists()

    def test_an_upload_that_another_visitor_shares_stays(self, tmp_path: Path) -> None:
        sessions = Sessions(tmp_path, uploads=tmp_path)
        upload = tmp_path / "same.jpg"
        upload.touch()
        for key in ("one", "two"):
            sessions.open(key).uploads.add(upload)
        sessions.close("one")
        assert upload.exists()
        sessions.close("two")
        assert not upload.exists()

    def test_memory_is_bounded(self, engine: Engine, tmp_path: Path) -> None:
        sessions = Sessions(tmp_path, uploads=tmp_path, max_bytes=5_000_000)
        for key in "abcdef":
            run(sessions.open(key), engine)  # 2 MB each
        sessions.open("last")
        assert len(sessions) <= 3


class TestGuard:
    def test_a_message_is_escaped(self) -> None:
        @plain_errors
        def fails() -> None:
            raise ConfigError("<img src=x onerror=alert(1)> is not a colour map.")

        with pytest.raises(gr.Error) as caught:
            fails()
        assert "&lt;img" in caught.value.message

    def test_anything_else_is_one_plain_sentence_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        @plain_errors
        def fails() -> Iterator[int]:
            yield 1
            raise KeyError("secret path /home/me")

        with pytest.raises(gr.Error) as caught:
            list(fails())
        assert caught.value.message == OUR_FAULT
        assert "secret path" in caplog.text


class TestFollow:
    def test_brings_reports_and_the_result(self) -> None:
        reported = threading.Event()

        def work(report: Any, stopped: Any) -> str:
            report(Progress("half", 0.5))
            reported.wait(5)
            return "done"

        job = follow(work, threading.Event(), every_s=0.01)
        assert next(job) == Progress("half", 0.5)
        reported.set()
        with pytest.raises(StopIteration) as end:
            next(job)
        assert end.value.value == "done"

    def test_raises_what_the_work_raises(self) -> None:
        def work(report: Any, stopped: Any) -> None:
            raise ConfigError("no")

        with pytest.raises(ConfigError):
            list(follow(work, threading.Event(), every_s=0.01))

    def test_a_closed_follower_tells_the_work(self) -> None:
        told = threading.Event()

        def work(report: Any, stopped: Any) -> None:
            report(Progress("begun"))
            while not stopped():
                time.sleep(0.001)
            told.set()

        job = follow(work, threading.Event(), every_s=0.01)
        next(job)
        job.close()
        assert told.wait(5)


class TestCompare:
    def test_one_colour_range_linked_zoom_and_agreement(self, session: Session, engine: Engine) -> None:
        chosen = [value for _, value in compare.entries(engine)[:3]]
        *_, last = compare.compare(session, engine, PHOTO, chosen, Choices())
        layout = json.loads(last["maps"])["layout"]
        assert [layout[f"xaxis{n}"]["matches"] for n in (2, 3)] == ["x", "x"]
        assert [trace["coloraxis"] for trace in json.loads(last["maps"])["data"]] == ["coloraxis"] * 3
        assert "100.0%" in last["table"]
        assert json.loads(last["difference"])["data"]

    @pytest.mark.parametrize("chosen", [[], ["rooms-b0|"], ["rooms-b0|", "nyu-b0|"], ["rooms-b0|"] * 5])
    def test_refuses_other_than_two_to_four_ready_models(
        self, session: Session, engine: Engine, chosen: list[str]
    ) -> None:
        with pytest.raises(ConfigError, match="Choose 2 to 4"):
            list(compare.compare(session, engine, PHOTO, chosen, Choices()))

    def test_new_colours_run_no_model(self, session: Session, engine: Engine) -> None:
        chosen = [value for _, value in compare.entries(engine)[:2]]
        *_, last = compare.compare(session, engine, PHOTO, chosen, Choices())
        asked = list(engine.store.asked)  # type: ignore[attr-defined]
        other = compare.shown(session, Choices(colors="magma", range="fixed", low=1, high=4), "")
        scales = [json.loads(shown["maps"])["layout"]["coloraxis"] for shown in (last, other)]
        assert scales[0]["colorscale"] != scales[1]["colorscale"]
        assert (scales[1]["cmin"], scales[1]["cmax"]) == (1, 4)
        assert engine.store.asked == asked  # type: ignore[attr-defined]

    def test_before_a_comparison_there_is_nothing_to_draw(self, session: Session) -> None:
        assert compare.shown(session, Choices(), "") == {}


class TestEvaluate:
    @pytest.fixture
    def truth(self, session: Session, engine: Engine, tmp_path: Path) -> np.ndarray:
        """What the fake estimator says, a tenth nearer, and nothing measured in the left half."""
        run(session, engine)
        assert session.result is not None
        truth_m = session.result.prediction.depth_m / np.float32(1.1)
        truth_m[:, : truth_m.shape[1] // 2] = 0
        return truth_m

    def evaluate(self, session: Session, engine: Engine, path: Path, scale: float, **more: Any) -> dict[str, Any]:
        arguments = {"photo": PHOTO, "model": VARIANT} | more
        steps = evaluate.evaluate(
            session, engine, arguments["photo"], str(path), scale, arguments["model"], Choices(colors="magma")
        )
        *_, last = steps
        return dict(last)

    @pytest.mark.parametrize(("suffix", "scale"), [(".png", 1000), (".png", 256), (".npy", 1), (".npy", 1000)])
    def test_nine_metrics_raw_and_scaled(
        self, session: Session, engine: Engine, truth: np.ndarray, tmp_path: Path, suffix: str, scale: int
    ) -> None:
        path = tmp_path / f"truth{suffix}"
        if suffix == ".npy":
            np.save(path, truth)  # floats are metres, whatever is chosen
        else:
            Image.fromarray(np.round(truth * scale).astype(np.uint16)).save(path)
        last = self.evaluate(session, engine, path, scale)
        for name in METRICS:
            assert evaluate.MEANING[name] in last["table"]
        absrel = re.search(r"mean relative error</th><td>([\d.]+)</td><td>([\d.]+)</td>", last["table"])
        assert absrel
        assert float(absrel[1]) == pytest.approx(0.1, abs=0.002)
        assert float(absrel[2]) == pytest.approx(0, abs=0.002)
        assert "50% of the photo" in last["table"]
        assert "by 0.91" in last["table"]
        maps, errors = json.loads(last["maps"]), json.loads(last["errors"])
        assert [trace["coloraxis"] for trace in maps["data"]] == ["coloraxis"] * 2
        assert errors["layout"]["coloraxis"]["colorbar"]["title"]["text"] == "%"
        assert errors["layout"]["coloraxis"]["cmax"] == pytest.approx(10, abs=0.5)

    def test_new_colours_run_no_model(
        self, session: Session, engine: Engine, truth: np.ndarray, tmp_path: Path
    ) -> None:
        assert evaluate.shown(session, Choices()) == {}
        np.save(tmp_path / "truth.npy", truth)
        last = self.evaluate(session, engine, tmp_path / "truth.npy", 1)
        asked = list(engine.store.asked)  # type: ignore[attr-defined]
        assert evaluate.shown(session, Choices(colors="ice"))["maps"] != last["maps"]
        assert engine.store.asked == asked  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("truth", "says"),
        [
            (np.ones((4, 4), np.float32), "The photo is 611 × 460 and its depth 4 × 4 pixels"),
            (np.zeros((460, 611), np.float32), "no pixel between"),
            (np.full((460, 611), 50, np.float32), "no pixel between"),
            (np.ones((460, 611, 3), np.float32), "no depth map"),
            (np.ones((460, 611), np.uint8), "8 bits per pixel"),
        ],
        ids=["size", "empty", "too far", "colours", "8 bit"],
    )
    def test_bad_truth_is_told_in_a_sentence(
        self, session: Session, engine: Engine, tmp_path: Path, truth: np.ndarray, says: str
    ) -> None:
        np.save(tmp_path / "truth.npy", truth)
        with pytest.raises(GLPNError, match=says) as caught:
            self.evaluate(session, engine, tmp_path / "truth.npy", 1000)
        assert str(tmp_path) not in str(caught.value)
        assert session.evaluated is None

    def test_bad_files_and_choices_are_told_before_a_model_runs(
        self, session: Session, engine: Engine, tmp_path: Path
    ) -> None:
        broken = tmp_path / "truth.png"
        broken.write_bytes(b"no picture")
        with pytest.raises(GLPNError, match=r"'truth.png' can't be read"):
            self.evaluate(session, engine, broken, 1000)
        with pytest.raises(PhotoError):
            self.evaluate(session, engine, TRUTH, 1000, photo=__file__)
        with pytest.raises(VariantNotTrained):
            self.evaluate(session, engine, TRUTH, 1000, model="nyu-b0")
        with pytest.raises(PhotoNotFound, match="no true depth yet"):
            list(evaluate.evaluate(session, engine, PHOTO, None, 1000, VARIANT, Choices()))
        assert engine.store.asked == []  # type: ignore[attr-defined]

    def test_it_counts_as_memory_and_goes_with_the_session(
        self, engine: Engine, truth: np.ndarray, tmp_path: Path
    ) -> None:
        np.save(tmp_path / "truth.npy", truth)
        sessions = Sessions(tmp_path, uploads=tmp_path)
        own = sessions.open("visitor")
        self.evaluate(own, engine, tmp_path / "truth.npy", 1)
        assert own.size_bytes == 2 * truth.nbytes
        sessions.close("visitor")
        assert own.evaluated is None


def test_zero_gpu_is_asked_for_where_there_is_such_a_thing(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    lent: list[str] = []

    def lend(function: Any) -> Any:
        def on_lent_card(*args: Any, **kwargs: Any) -> Any:
            lent.append(function.__name__)
            return function(*args, **kwargs)

        return on_lent_card

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lend))
    zoo = Zoo.load()
    run(session, Engine(zoo, FakeStore(zoo), host=Host()))
    assert lent == ["run"]


class TestZoo:
    def test_filters(self, engine: Engine) -> None:
        assert f"{len(engine.zoo)} of {len(engine.zoo)}" in zoo_page.zoo_table(engine)
        assert f"2 of {len(engine.zoo)}" in zoo_page.zoo_table(engine, "Published")
        assert f"1 of {len(engine.zoo)}" in zoo_page.zoo_table(engine, "All", "kitti b4")
        assert "No variant" in zoo_page.zoo_table(engine, "Embedded", "<b>")

    def test_the_embedded_model_is_verified_and_not_removed(self, engine: Engine) -> None:
        assert "as they should be" in zoo_page.check(engine, VARIANT)
        with pytest.raises(GLPNError, match="part of this app"):
            zoo_page.remove(engine, VARIANT)

    def test_download_now_verify_and_remove(
        self, engine: Engine, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        spec = engine.zoo["nyu-b4"]
        assert spec.source.repo_id is not None
        config = json.dumps({"model_type": "glpn", "max_depth": 10}).encode()
        files = {"config.json": config, "preprocessor_config.json": b"{}", "model.safetensors": bytes(3_000_000)}
        server.repo(spec.source.repo_id).commit(files)
        *progress, last = zoo_page.download(engine, "nyu-b4", threading.Event())
        assert "nyu-b4 is here and verified" in last
        assert any("of 3.0 MB" in step for step in progress)
        assert zoo_page.disk_used(engine.zoo) >= 3_000_000
        assert "yes" in zoo_page.zoo_table(engine, "All", "nyu b4")
        assert "as they should be" in zoo_page.check(engine, "nyu-b4")
        assert "3.0 MB freed" in zoo_page.remove(engine, "nyu-b4")
        assert zoo_page.disk_used(engine.zoo) == 0
        assert "is not here" in zoo_page.check(engine, "nyu-b4")


class TestHost:
    @pytest.mark.parametrize(
        ("environment", "host"),
        [
            ({}, Host(public=False, own_checkpoints=True)),
            ({"SPACE_ID": "someone/space"}, Host(public=True, own_checkpoints=False)),
            ({"SPACE_ID": "someone/space", "GLPN_OWN_CHECKPOINTS": "1"}, Host(public=True, own_checkpoints=True)),
        ],
        ids=["laptop", "Space", "Space that allows it"],
    )
    def test_a_space_is_public(self, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: Host) -> None:
        for name in ("SPACE_ID", "GLPN_OWN_CHECKPOINTS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert Host.detect() == host

    def test_a_folder_is_run_as_another_checkpoint(self, session: Session) -> None:
        zoo = Zoo.load()
        folder = zoo[VARIANT].folder
        assert folder is not None
        run(session, Engine(zoo, make_store(zoo), host=Host()), model=str(folder))
        assert session.result is not None
        assert session.result.prediction.variant not in zoo


class TestCards:
    def test_a_card_of_every_variant(self, engine: Engine) -> None:
        for spec in engine.zoo:
            card = cards.model_card(spec, cached=False, seconds=None)
            assert spec.license in card or spec.license.replace("'", "&#x27;") in card
            assert ("can&#x27;t be run" in card) == (not spec.ready)

    def test_kittis_card_says_why_80_m(self, engine: Engine) -> None:
        assert engine.zoo["kitti-b4"].max_depth_note is not None
        assert "80 m" in cards.model_card(engine.zoo["kitti-b4"], cached=False, seconds=1.5)

    def test_text_is_escaped_and_backticks_become_code(self) -> None:
        assert cards.rich("a `<b>` & c") == "a <code>&lt;b&gt;</code> &amp; c"


def test_slider_images_are_of_equal_size(session: Session, engine: Engine) -> None:
    run(session, engine)
    assert session.result is not None
    one, two = drawing.slider(session.result, Choices(), session.folder)
    with Image.open(one) as photo, Image.open(two) as depth:
        assert photo.size == depth.size
