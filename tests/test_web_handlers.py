"""What the page does, without a browser: handlers are plain functions of a session and the choices."""

import asyncio
import gc
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import gradio as gr
import gradio.state_holder
import numpy as np
import pytest
from gradio.state_holder import SessionState
from hub_server import HubServer
from huggingface_hub import constants
from PIL import Image
from web_support import FakeEstimator, FakeStore

from glpn.camera import Camera
from glpn.errors import (
    Cancelled,
    ConfigError,
    FloorNotFound,
    GLPNError,
    PhotoError,
    PhotoNotFound,
    UnknownModel,
    VariantNotTrained,
)
from glpn.evaluation.metrics import METRICS
from glpn.photo import Photo, load_photo
from glpn.prediction import DepthPrediction
from glpn.scale import Scale
from glpn.scene.export import FORMATS, estimated_bytes
from glpn.scene.look import Look
from glpn.scene.measuring import measure
from glpn.scene.photo3d import TEXT_KEY
from glpn.web import actions, decoded, drawing, measuring, memory, runner
from glpn.web.choices import TABS, Choices
from glpn.web.guard import OUR_FAULT, plain_errors
from glpn.web.jobs import Progress, follow
from glpn.web.pages import compare, evaluate, zoo
from glpn.web.parts import html
from glpn.web.runner import Engine, Host
from glpn.web.samples import MEASURED, SAMPLES, VARIANT
from glpn.web.serve import make_store
from glpn.web.session import Result, Session, Sessions, Superseded
from glpn.web.sparing import sparing
from glpn.web.uploads import Uploads
from glpn.zoo import Zoo

PHOTO = str(SAMPLES[0].photo)


def run(session: Session, engine: Engine, photo: str | None = PHOTO, model: str = VARIANT, **choices: Any) -> list[Any]:
    """Estimate and draw the depth as the page does; returns the progress, and at last what is shown."""
    chosen = Choices(**choices)
    steps = list(actions.estimate(session, engine, photo, model, chosen))
    return [*steps, actions.draw(session, "depth", chosen) | {"status": actions.status(session, engine)}]


class TestEstimate:
    def test_shows_progress_then_the_result_with_its_status(self, session: Session, engine: Engine) -> None:
        *progress, last = run(session, engine)
        assert all("progress" in step for step in progress)
        assert [pane["kind"] for pane in last["depth"]["panes"]] == ["photo", "depth"]
        assert last["depth"]["panes"][1]["uncertainty"]["relative"] > 0.1
        assert "rooms-b0" in last["status"]
        assert "67° (from EXIF)" in last["status"]
        assert session.result is not None
        assert session.result.line is session.result.line  # made once
        assert session.result.prediction.size == session.result.photo.rgb.shape[:2]

    def test_a_field_of_view_replaces_exif(self, session: Session, engine: Engine) -> None:
        status = run(session, engine, camera="fov", fov=90.0)[-1]["status"]
        assert "90° (set by you)" in status

    def test_an_assumed_camera_is_called_assumed(self, session: Session, engine: Engine) -> None:
        assert "assumed, not known" in run(session, engine, camera="assumed")[-1]["status"]

    def test_tells_when_most_of_the_picture_is_at_the_limit(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        assert session.result is not None
        far = np.full_like(session.result.prediction.depth_m, 10.0)
        prediction = type(session.result.prediction)(**vars(session.result.prediction) | {"depth_m": far, "scale": 1.0})
        assert any("try a KITTI model" in sentence for sentence in html.advice(prediction))

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
        sentences = [step.get("progress", "") for step in run(session, engine, model="nyu-b4")]
        assert any("of 80 MB, 2.5 MB/s" in sentence for sentence in sentences)

    def test_stop_ends_a_download(self, session: Session) -> None:
        zoo = Zoo.load()
        engine = Engine(zoo, FakeStore(zoo, steps=1000), host=Host())
        steps = actions.estimate(session, engine, PHOTO, "nyu-b4", Choices())
        while "Downloading" not in next(steps)["progress"]:
            pass
        session.stop.set()
        with pytest.raises(Cancelled):
            list(steps)

    def test_a_newer_run_takes_the_place_of_one_that_goes_on(self, session: Session) -> None:
        zoo = Zoo.load()
        engine = Engine(zoo, FakeStore(zoo, steps=1000), host=Host())
        older = actions.estimate(session, engine, PHOTO, "nyu-b4", Choices())
        while "Downloading" not in next(older)["progress"]:
            pass
        newer = actions.estimate(session, engine, PHOTO, "rooms-b0", Choices())
        next(newer)
        with pytest.raises(Superseded):
            list(older)
        assert session.busy
        list(newer)
        assert not session.busy
        assert session.result is not None and session.result.prediction.variant == "rooms-b0"

    def test_two_sessions_never_share(self, engine: Engine, tmp_path: Path) -> None:
        sessions = Sessions(Uploads(tmp_path))
        one, two = sessions.open("one"), sessions.open("two")
        run(one, engine)
        assert two.result is None
        assert sessions.open("one") is one


class TestDrawing:
    def test_every_tab_draws_and_none_runs_the_model(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        asked = list(engine.store.asked)  # type: ignore[attr-defined]
        for tab in TABS:
            assert actions.draw(session, tab, Choices(colors="magma"))
        assert engine.store.asked == asked  # type: ignore[attr-defined]

    def test_figures_of_one_result_are_one_revision_and_of_two_results_two(
        self, session: Session, engine: Engine
    ) -> None:
        def revisions(**choices: Any) -> set[str]:
            layout = json.loads(actions.draw(session, "3d", Choices(**choices))["surface"])["layout"]
            return {layout["uirevision"], layout["scene"]["uirevision"]}

        run(session, engine)
        first = revisions()
        assert len(first) == 1
        assert first == revisions(texture="depth", style="points", detail="draft")
        run(session, engine)
        assert first != revisions()

    def test_a_result_or_a_tab_that_comes_while_another_is_drawn_is_what_is_shown(
        self, session: Session, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(session, engine)
        session.tab = "statistics"
        newer = actions.example(SAMPLES[1])
        rows, columns = newer.prediction.size
        histogram, happens = drawing.histogram, [lambda: session.show(newer), lambda: session.opens("tab", "measure")]

        def drawn(*given: Any) -> Any:
            if happens:
                happens.pop(0)()
            return histogram(*given)

        monkeypatch.setattr(drawing, "histogram", drawn)
        assert set(actions.draw_open(session, Choices())) == set(actions.draw(session, "measure", Choices()))
        session.tab = "statistics"
        assert f"{columns} × {rows}" in actions.draw_open(session, Choices())["numbers"]

    def test_without_a_result_it_says_what_to_do(self, session: Session) -> None:
        with pytest.raises(GLPNError, match="press “Estimate depth”"):
            actions.draw(session, "depth", Choices())


def test_photo_and_depth_are_two_small_files_for_all_tabs(session: Session, engine: Engine) -> None:
    run(session, engine)
    shown = {tab: actions.draw(session, tab, Choices()) for tab in ("photo3d", "depth", "measure")}
    photo3d, depth, measure = shown["photo3d"]["photo3d"], shown["depth"]["depth"], shown["measure"]["measure"]
    assert {photo3d["photoUrl"], depth["panes"][0]["url"], measure["src"]} == {photo3d["photoUrl"]}
    assert {photo3d["depthUrl"], depth["panes"][1]["url"], measure["depth"]} == {photo3d["depthUrl"]}
    sizes = [path.stat().st_size for path in session.folder.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) <= drawing.PHOTO_BYTES + drawing.DEPTH_BYTES


def test_a_photo_is_decoded_once_for_its_thumbnail_and_its_estimate(
    session: Session, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decoded for the one is taken for the other if it is the same photo, large enough, and not forgotten."""
    photo, other, loaded = tmp_path / "own.jpg", tmp_path / "other.jpg", []
    Image.new("RGB", (2400, 1800), "gray").save(photo)
    Image.new("RGB", (2400, 1800), "teal").save(other)

    def load(path: str, **options: Any) -> Photo:
        loaded.append(path)
        return load_photo(path, **options)

    monkeypatch.setattr(decoded, "load_photo", load)
    monkeypatch.setattr(runner, "load_photo", load)

    def loads(*, small: bool = False, forget: bool = False, of: Path = photo) -> int:
        loaded.clear()
        engine.decoded.leave(str(of), (lambda size: (30, 40)) if small else engine.least_shown)
        if forget:
            engine.decoded.forget()
        run(session, engine, str(photo))
        assert session.present.photo.rgb.shape == (750, 1000, 3)
        return len(loaded)

    assert (loads(), loads(small=True), loads(of=other), loads(forget=True)) == (1, 2, 2, 2)
    loaded.clear()
    run(session, engine, str(photo))
    assert loaded == [str(photo)]
    (tmp_path / "bad.jpg").write_bytes(photo.read_bytes()[:300])
    with pytest.raises(PhotoError):
        engine.decoded.leave(str(tmp_path / "bad.jpg"), engine.least_shown)
    assert engine.decoded.take(str(tmp_path / "bad.jpg"), engine.least_shown) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is left to the system")
def test_freed_memory_is_given_back_only_where_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []

    def mallinfo2() -> memory._Heap:
        return memory._Heap(fordblks=50)

    def trims(library: object, **options: int) -> bool:
        trimmed.clear()
        monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
        memory.give_back_memory(**options)
        return bool(trimmed)

    glibc = SimpleNamespace(malloc_trim=trimmed.append, mallinfo2=mallinfo2)
    assert trims(glibc) and trims(glibc, kept_bytes=49) and not trims(glibc, kept_bytes=50)
    older = SimpleNamespace(malloc_trim=trimmed.append)
    assert trims(older, kept_bytes=50)


def test_a_large_photo_is_shown_small_and_exported_whole(session: Session, engine: Engine, tmp_path: Path) -> None:
    photo = tmp_path / "large.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(noise).resize((4000, 3000)).save(photo, quality=90)
    shown = run(session, engine, str(photo))[-1]["depth"]
    assert session.result is not None
    assert session.result.prediction.size == session.result.photo.rgb.shape[:2] == (750, 1000)
    assert shown["size"] == [1000, 750]
    files = sum(Path(pane["url"].removeprefix(drawing.FILE_URL)).stat().st_size for pane in shown["panes"])
    assert files <= 220_000
    [row] = [row for row in made(session, "npy")["rows"] if row["name"] == "npy"]
    depth_m = np.load(row["url"].removeprefix(drawing.FILE_URL))
    assert depth_m.shape == (3000, 4000)
    np.testing.assert_allclose(depth_m[2::4, 2::4], session.result.prediction.depth_m, rtol=2e-3)


class TestMeasure:
    def measured(self, session: Session) -> list[dict[str, Any]]:
        """What is drawn on the photo."""
        return list(measuring.shown(session)["measure"]["shapes"])

    def test_a_length_is_straight_in_3d_and_carries_its_doubt(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        measuring.pick(session, 100, 400)
        assert "click the next point" in measuring.shown(session)["distances"]
        measuring.pick(session, 500.4, 100)
        points = session.present.prediction.camera.unproject(session.present.prediction.depth_m)
        length_m = float(np.linalg.norm(points[400, 100] - points[100, 500]))
        [drawn] = self.measured(session)
        assert drawn["text"] == session.present.uncertainty.text(length_m)
        assert re.fullmatch(r"\d\.\d m ± \d\.\d", drawn["text"])
        assert drawn["text"] in measuring.shown(session)["distances"]

    def test_an_answer_that_another_click_overtakes_shows_what_that_click_left(
        self, session: Session, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(session, engine)
        measuring.pick(session, 100, 400)
        pictures = drawing.pictures

        def overtaken(*of: Any, **how: Any) -> tuple[str, str]:
            measuring.clear(session)
            return pictures(*of, **how)

        monkeypatch.setattr(drawing, "pictures", overtaken)
        drawn = measuring.shown(session)
        assert drawn["measure"]["shapes"] == []
        assert drawn["distances"] == f"<p>{measuring.HINTS['distance']}</p>"

    def test_a_click_outside_counts_as_the_border(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        measuring.pick(session, -5, 1e9)
        assert session.marks.open == ((0, session.present.prediction.size[0] - 1),)

    def test_a_point_at_an_edge_takes_the_nearer_side_unless_told_not_to(self, session: Session) -> None:
        depth_m = np.full((240, 320), 4.0, np.float32)
        depth_m[:, 140:180] = 1.5
        camera = Camera.from_fov(60, depth_m.shape)
        prediction = DepthPrediction(
            depth_m=depth_m, variant=VARIANT, max_depth_m=10, working_size=(32, 32), seconds=0, camera=camera
        )
        session.show(Result(prediction=prediction, source="post"))
        measuring.pick(session, 182, 120)
        measuring.pick(session, 182, 120, snap=False)
        (near, _), far = session.marks.shapes[0].points
        assert near < 180
        assert far == (182, 120)

    @pytest.mark.parametrize(
        ("kind", "count", "text"),
        [("path", 4, r"\d\.\d m ± \d\.\d"), ("area", 4, r".* m² ± .*"), ("angle", 3, r"\d+°")],
    )
    def test_paths_areas_and_angles(self, session: Session, engine: Engine, kind: str, count: int, text: str) -> None:
        run(session, engine)
        measuring.choose(session, kind)
        for x, y in [(100, 300), (400, 300), (400, 400), (100, 400)][:count]:
            measuring.pick(session, x, y, snap=False)
        [drawn] = self.measured(session)
        assert re.fullmatch(text, drawn["text"])
        assert drawn["closed"] == (kind == "area")
        measuring.finish(session)
        assert [len(shape.points) for shape in session.marks.shapes] == [count]

    def test_an_outline_that_crosses_itself_is_told_and_not_measured(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        measuring.choose(session, "area")
        for x, y in ((100, 100), (300, 300), (300, 100), (100, 300)):
            measuring.pick(session, x, y, snap=False)
        assert "crosses itself" in measuring.shown(session)["distances"]
        assert self.measured(session)[0]["text"] == ""

    def test_points_are_taken_back_and_cleared(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        for x in (1, 2, 3):
            measuring.pick(session, x, x)
        measuring.undo(session)
        measuring.undo(session)
        assert session.marks.open == ((1, 1),)
        assert session.marks.shapes == ()
        measuring.clear(session)
        assert session.marks.open == ()
        measuring.undo(session)  # of nothing is nothing

    def test_no_height_is_better_than_a_wrong_one(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        measuring.choose(session, measuring.HEIGHT)
        with pytest.raises(FloorNotFound, match="not reliable with rooms-b0: the error of its shapes is 19 %"):
            measuring.pick(session, 300, 300)
        assert session.marks.open == ()

    def test_a_model_that_is_exact_enough_gives_heights(self, session: Session, engine: Engine) -> None:
        size = (192, 256)
        camera = Camera.from_fov(63, size)
        rays = camera.unproject(np.ones(size, np.float32))
        down = np.array([0, np.cos(0.3), np.sin(0.3)])  # the camera, 1.4 m up, looks down by 17 degrees
        slope = rays @ down
        depth_m = np.where(slope > 0.05, 1.4 / np.maximum(slope, 0.05), 28.0).astype(np.float32)
        prediction = DepthPrediction(
            depth_m=depth_m, variant="nyu-b4", max_depth_m=80, working_size=size, seconds=0, camera=camera
        )
        session.show(Result(prediction=prediction, spec=engine.zoo["nyu-b4"], source="floor"))
        height = measuring.find_height(session.present, (128, 180))
        assert height.value == pytest.approx(0, abs=0.05)

    def test_what_is_measured_is_copied_as_text_and_csv(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        for point in ((100, 400), (500, 100)):
            measuring.pick(session, *point, snap=False)
        table = measuring.shown(session)["distances"]
        [drawn] = self.measured(session)
        assert f'data-copy="distance 100 400 – 500 100: {drawn["text"]}' in table
        assert "kind,value,unit,uncertainty" in table

    def test_lines_are_drawn_on_the_3d_photo_and_in_the_scene(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        measuring.choose(session, "area")
        for point in ((0, 300), (400, 300), (400, 459)):
            measuring.pick(session, *point, snap=False)
        [mark] = actions.draw(session, "photo3d", Choices())["photo3d"]["marks"]
        height, width = session.present.prediction.size
        assert mark["points"] == [
            ((x + 0.5) / width, (y + 0.5) / height) for x, y in ((0, 300), (400, 300), (400, 459), (0, 300))
        ]
        [(places, text)] = measuring.lines(session)
        np.testing.assert_array_equal(places[0], places[3])
        assert text == mark["text"]

    @pytest.mark.parametrize("number", [-1, 1, None, "0"])
    def test_what_is_not_there_is_told(self, session: Session, engine: Engine, number: Any) -> None:
        run(session, engine)
        measuring.pick(session, 1, 1)
        for act in (measuring.remove, lambda own, index: measuring.know(own, index, 2.0)):
            with pytest.raises(ConfigError, match="not there any more"):
                act(session, number)


@pytest.mark.parametrize(
    ("sample", "model", "said"),
    [
        ("pavilion", VARIANT, True),
        ("pavilion", "kitti-b4", False),
        ("street", "streets-b0", False),
        ("living", "kitti-b4", True),
        ("living", VARIANT, False),
    ],
)
def test_a_sample_that_the_model_does_not_know_is_told(
    session: Session, engine: Engine, sample: str, model: str, said: bool
) -> None:
    run(session, engine, str(actions.sample(sample).photo), model=model)
    assert ("read the order of things" in actions.status(session, engine)) == said


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_makes_anew_only_what_it_changes() -> None:
    with gr.Blocks() as demo:
        boxes = [gr.Textbox("old") for _ in range(3)]
        demo.load(lambda: None, None, boxes)
    changed = {boxes[1]: gr.Textbox(visible=False)}
    answers = [changed, {boxes[1]: "new"}, gr.skip(), ["one", gr.Textbox(label="two"), gr.skip()]]

    def sent(answer: Any, state: SessionState) -> Any:
        return asyncio.run(demo.postprocess_data(demo.fns[0], answer, state))

    usual = [sent(answer, SessionState(demo)) for answer in answers]
    sparing(demo)
    visitors = gradio.state_holder.StateHolder()
    visitors.set_blocks(demo)
    assert [sent(answer, visitors[str(number)]) for number, answer in enumerate(answers)] == usual
    state = visitors["another"]
    sent(changed, state)
    assert [state[box._id] is box for box in boxes] == [True, False, True]
    for answer in answers:
        sent(answer, state)
    assert not state.config_values, "of each visitor Gradio keeps every component's settings and what was sent"
    gc.collect()  # Blocks leaves event loops unclosed: their warnings belong here


class TestCertainty:
    @pytest.fixture
    def unsure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An estimator that sees everything in the left half twice as far when the photo is large."""
        plain = FakeEstimator.__call__

        def estimate(self: FakeEstimator, photo: Any, **settings: Any) -> DepthPrediction:
            prediction = plain(self, photo, **settings)
            if settings.get("resolution") == 224:
                prediction.depth_m[:, : prediction.size[1] // 4] *= 2
            return prediction

        monkeypatch.setattr(FakeEstimator, "__call__", estimate)

    def test_six_runs_tell_where_the_model_contradicts_itself(
        self, session: Session, engine: Engine, unsure: None
    ) -> None:
        run(session, engine)
        assert "sure" not in actions.draw(session, "depth", Choices())["depth"]
        steps = [step["progress"] for step in actions.certainty(session, engine)]
        assert any("How sure rooms-b0 is: run" in step for step in steps)
        assert steps[-1] == ""
        shown = actions.draw(session, "depth", Choices())
        assert shown["sure_wanted"]
        sure = shown["depth"]["sure"]
        legend = (
            r"Hatched \(50 % of the picture\): estimates more than 10 % apart; crosswise: 20 %\. Even estimates that"
        )
        assert re.match(legend, sure["legend"])
        assert max(session.spread.shape) == 256
        file = Path(unquote(sure["url"]).partition("file=")[2])
        assert file.stat().st_size < 60_000
        with Image.open(file) as image:
            steps, step = np.asarray(image), json.loads(image.text[TEXT_KEY])["step"]
        np.testing.assert_allclose(steps * step, session.spread, atol=step / 2 + 1e-6)
        asked = len(engine.store.asked)  # type: ignore[attr-defined]
        list(actions.certainty(session, engine))  # known already
        assert len(engine.store.asked) == asked  # type: ignore[attr-defined]

    def test_measured_points_tell_how_sure_they_are(self, session: Session, engine: Engine, unsure: None) -> None:
        run(session, engine)
        list(actions.certainty(session, engine))
        for point in ((20, 200), (400, 200)):
            measuring.pick(session, *point, snap=False)
        shown = measuring.shown(session)
        assert shown["measure"]["shapes"][0]["unsure"] == [True, False]
        assert "unsure: estimates of its points differ by" in shown["distances"]

    def test_where_all_runs_agree_nothing_is_hatched(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        list(actions.certainty(session, engine))
        assert "Nothing is hatched" in actions.draw(session, "depth", Choices())["depth"]["sure"]["legend"]
        session.sure = False
        shown = actions.draw(session, "depth", Choices())
        assert "sure" not in shown["depth"]
        assert not shown["sure_wanted"]

    def test_another_photo_or_model_is_not_known(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        list(actions.certainty(session, engine))
        run(session, engine, flip=True)
        assert session.spread is not None
        run(session, engine, model="nyu-b4")
        assert session.spread is None
        list(actions.certainty(session, engine))
        run(session, engine, str(SAMPLES[1].photo), model="nyu-b4")
        assert session.spread is None
        assert not session.sure

    def test_stop_ends_it(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        steps = actions.certainty(session, engine)
        next(steps)
        session.stop.set()
        with pytest.raises(Cancelled):
            list(steps)
        assert session.spread is None


class TestScale:
    @pytest.fixture
    def line(self, session: Session, engine: Engine) -> float:
        """A measured line; its length as the model says, metres."""
        run(session, engine)
        return self.add(session, (100, 400), (500, 300))

    def add(self, session: Session, *points: tuple[int, int]) -> float:
        measuring.choose(session, "distance")
        for point in points:
            measuring.pick(session, *point, snap=False)
        plain = session.present.prediction.calibrated(None)
        return measure("distance", plain, points).value

    def test_one_length_scales_everything_and_is_undone(self, session: Session, engine: Engine, line: float) -> None:
        before = session.present
        measuring.know(session, 0, 1.25 * line)
        after = session.present
        np.testing.assert_allclose(after.prediction.depth_m, 1.25 * before.prediction.depth_m, rtol=1e-5)
        assert after.token != before.token
        assert after.photo_id == before.photo_id
        assert after.uncertainty.relative < before.uncertainty.relative
        assert "scaled by your length × 1.25" in actions.status(session, engine)
        assert after.uncertainty.text(1.25 * float(np.median(before.prediction.depth_m))) in actions.status(
            session, engine
        )
        measuring.unscale(session)
        assert session.present.prediction.calibration is None
        np.testing.assert_allclose(session.present.prediction.depth_m, before.prediction.depth_m, rtol=1e-5)
        assert "scaled by" not in actions.status(session, engine)
        assert len(session.marks.shapes) == 1

    def test_two_lengths_are_fitted_and_their_spread_is_told(
        self, session: Session, engine: Engine, line: float
    ) -> None:
        other = self.add(session, (50, 200), (300, 420))
        measuring.know(session, 0, 1.2 * line)
        measuring.know(session, 1, 1.5 * other)
        calibration = session.present.prediction.calibration
        assert calibration is not None
        assert calibration.factor == pytest.approx((1.2 * 1.5) ** 0.5, rel=1e-4)
        assert "scaled by your 2 lengths × 1.34, which differ by 16 %" in actions.status(session, engine)
        assert "known lengths differ" in session.present.uncertainty.basis
        measuring.remove(session, 1)
        assert session.present.prediction.calibration.factor == pytest.approx(1.2, rel=1e-4)

    @pytest.mark.parametrize("true_m", [0, -1, float("nan"), None, "2", True, 1e6])
    def test_what_is_no_length_changes_nothing(self, session: Session, line: float, true_m: Any) -> None:
        marks = session.marks
        with pytest.raises(ConfigError):
            measuring.know(session, 0, true_m)
        assert session.marks is marks
        assert session.present.prediction.calibration is None

    def test_an_angle_sets_no_scale(self, session: Session, line: float) -> None:
        measuring.choose(session, "angle")
        for point in ((10, 10), (200, 200), (10, 300)):
            measuring.pick(session, *point)
        with pytest.raises(ConfigError, match="Only a length"):
            measuring.know(session, 1, 2.0)

    def test_clear_leaves_the_lengths_that_the_scale_rests_on(self, session: Session, line: float) -> None:
        self.add(session, (50, 200), (300, 420))
        measuring.know(session, 0, 2 * line)
        measuring.clear(session)
        assert [shape.true_m for shape in session.marks.shapes] == [2 * line]
        measuring.undo(session)
        assert session.present.prediction.calibration is None

    def test_a_changed_setting_keeps_the_scale_and_a_new_photo_drops_it(
        self, session: Session, engine: Engine, line: float
    ) -> None:
        measuring.know(session, 0, 3.0)
        actions.change_camera(session, engine, Choices(camera="fov", fov=40.0))
        scaled = session.present.prediction
        assert scaled.camera.source == "fov"
        assert measure("distance", scaled, session.marks.shapes[0].points).value == pytest.approx(3.0)
        run(session, engine, flip=True)
        again = session.present.prediction
        assert again.flip_averaged
        assert measure("distance", again, session.marks.shapes[0].points).value == pytest.approx(3.0)
        run(session, engine, str(SAMPLES[1].photo))
        assert session.present.prediction.calibration is None
        assert session.marks.shapes == ()

    def test_a_length_that_no_longer_fits_is_dropped_and_told(
        self, session: Session, engine: Engine, line: float
    ) -> None:
        measuring.know(session, 0, 19 * line)
        run(session, engine, model="kitti-b4")  # 8 times as far
        run(session, engine)
        measuring.know(session, 0, 0.06 * line)
        run(session, engine, model="kitti-b4")
        assert session.present.prediction.calibration is None
        assert "The scale was undone." in actions.status(session, engine)

    def test_a_link_carries_the_factor_of_a_sample(self, session: Session, engine: Engine) -> None:
        query = {"sample": "coffee", "scale": "1.5"}
        choices, notes = actions.opened(query, session, engine, default_model=VARIANT)
        assert (choices.scale, notes) == (1.5, ())
        assert session.present.prediction.calibration == Scale(1.5)
        assert "scaled by the link × 1.5" in actions.status(session, engine)
        run(session, engine, str(actions.sample("coffee").photo), model="nyu-b4")  # whose metres are others
        assert session.present.prediction.calibration is None


def made(session: Session, name: str, **choices: Any) -> dict[str, Any]:
    return dict(actions.make_file(session, Choices(**choices), name)["files"])


class TestFiles:
    def test_opening_the_tab_writes_nothing_and_tells_sizes(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        before = set(session.folder.iterdir())
        rows = actions.draw(session, "files", Choices())["files"]["rows"]
        assert {row["name"]: row["unit"] for row in rows} == {name: kind.unit for name, kind in FORMATS.items()}
        unknown = {row["name"] for row in rows if not row["size"].startswith("≈ ")}
        assert unknown == {"gif", "mp4", "contours", "plan", "zip"}
        assert not any("url" in row for row in rows)
        assert set(session.folder.iterdir()) == before

    def test_a_format_is_made_when_asked_for_and_once_for_a_look(self, session: Session, engine: Engine) -> None:
        run(session, engine)
        shown = made(session, "color-png")
        assert shown["ready"] == "color-png"
        [row] = [row for row in shown["rows"] if "url" in row]
        path = Path(row["url"].removeprefix(drawing.FILE_URL))
        assert path.is_relative_to(session.folder)
        assert row["size"] == html.kilobytes(path.stat().st_size)
        again = actions.draw(session, "files", Choices())["files"]["rows"]
        assert [row["name"] for row in again if "url" in row] == ["color-png"]
        other = actions.draw(session, "files", Choices(colors="ice"))["files"]["rows"]
        assert not [row for row in other if "url" in row]

    @pytest.mark.parametrize("sample", SAMPLES[::3], ids=lambda sample: sample.id)
    def test_estimated_sizes_are_near_the_true_ones(self, session: Session, engine: Engine, sample: Any) -> None:
        session.show(actions.example(sample))
        assert session.result is not None
        height, width = session.result.prediction.size
        look = Look(detail="draft")
        for name in FORMATS:
            about = estimated_bytes(name, height * width, look)
            if about is not None:
                [path] = session.result.prediction.write(session.folder, [name], look=look)
                assert 0.5 < about / path.stat().st_size < 2, name

    def test_what_can_not_be_made_is_told_in_a_sentence(self, session: Session, engine: Engine) -> None:
        with pytest.raises(GLPNError, match="press “Estimate depth”"):
            made(session, "npy")
        run(session, engine, model="kitti-b4")
        with pytest.raises(GLPNError, match="not one of the page's"):
            made(session, "../../etc/passwd")
        session.has_room = lambda: False
        with pytest.raises(GLPNError, match="no room for more files"):
            made(session, "npy")


class TestSessions:
    def test_files_and_photo_vanish_when_the_session_ends(self, engine: Engine, tmp_path: Path) -> None:
        sessions = Sessions(Uploads(tmp_path))
        session = sessions.open("visitor")
        upload = tmp_path / "upload.jpg"
        upload.write_bytes(Path(PHOTO).read_bytes())
        session.take(upload)
        run(session, engine, str(upload))
        actions.draw(session, "depth", Choices())
        assert list(sessions.uploads.folder.rglob("*.jpg"))
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
        sessions = Sessions(Uploads(uploads))
        sessions.open("visitor").take(sample, inside, uploads / ".." / "sample.jpg", uploads / "link.jpg")
        sessions.close("visitor")
        assert sample.exists()
        assert not inside.exists()

    def test_an_upload_that_another_visitor_shares_stays(self, tmp_path: Path) -> None:
        sessions = Sessions(Uploads(tmp_path))
        upload = tmp_path / "same.jpg"
        upload.touch()
        for key in ("one", "two"):
            sessions.open(key).take(upload)
        sessions.close("one")
        assert upload.exists()
        sessions.close("two")
        assert not upload.exists()

    def test_memory_is_bounded(self, engine: Engine, tmp_path: Path) -> None:
        sessions = Sessions(Uploads(tmp_path), max_bytes=5_000_000)
        for key in "abcdef":
            run(sessions.open(key), engine)  # 2 MB each
        sessions.open("last")
        assert len(sessions) <= 3


class TestGuard:
    def test_a_message_is_escaped(self) -> None:
        @plain_errors
        def fails() -> None:
            raise ConfigError("<img src=x onerror=alert(1)> is not a color map.")

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
    def test_all_maps_and_their_differences_are_in_one_view(self, session: Session, engine: Engine) -> None:
        chosen = [value for _, value in compare.entries(engine)[1:4]]
        *_, last = compare.compare(session, engine, PHOTO, chosen, Choices())
        kinds = [pane["kind"] for pane in last["maps"]["panes"]]
        assert kinds == ["photo", *["depth"] * 3, *["difference"] * 2]
        assert [pane["of"] for pane in last["maps"]["panes"][4:]] == [[2, 1], [3, 1]]
        assert "100.0%" in last["table"]
        assert "agreement is not accuracy" in last["table"]

    def test_a_sample_is_compared_with_its_truth(self, session: Session, engine: Engine) -> None:
        [measured] = [sample for sample in SAMPLES if sample.id == "living"]
        chosen = ["rooms-b0|", compare.TRUTH]
        *_, last = compare.compare(session, engine, str(measured.photo), chosen, Choices())
        labels = [pane["label"] for pane in last["maps"]["panes"]]
        assert labels == ["Photo", "truth", "rooms-b0", "rooms-b0 minus truth"]
        assert last["maps"]["panes"][1]["uncertainty"] is None
        assert "Distance from the truth" in last["table"]

    def test_a_photo_without_truth_is_told_in_a_sentence(
        self, session: Session, engine: Engine, tmp_path: Path
    ) -> None:
        own = tmp_path / "own.jpg"
        own.write_bytes(Path(PHOTO).read_bytes())
        *_, last = compare.compare(session, engine, str(own), ["rooms-b0|", compare.TRUTH], Choices())
        assert "Nobody has measured this photo, so the truth is left out" in last["table"]
        assert [pane["label"] for pane in last["maps"]["panes"]][1:3] == ["rooms-b0", "rooms-b0, flip averaged"]

    def test_old_maps_go_when_new_ones_come(self, session: Session, engine: Engine) -> None:
        chosen = [value for _, value in compare.entries(engine)[1:3]]
        for _ in range(2):
            list(compare.compare(session, engine, PHOTO, chosen, Choices()))
        assert len(list(session.folder.iterdir())) == 3

    def test_a_known_length_scales_each_model_on_its_photo_alone(
        self, session: Session, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(session, engine)
        for point in ((100, 400), (500, 300)):
            measuring.pick(session, *point, snap=False)
        points = session.marks.shapes[0].points
        measured = measure("distance", session.present.prediction, points).value
        chosen = ["rooms-b0|", "kitti-b4|"]
        seen: list[list[compare.Compared]] = []
        monkeypatch.setattr(compare, "agreement_table", lambda done: seen.append(done) or "")

        def compared(photo: str) -> list[compare.Compared]:
            list(compare.compare(session, engine, photo, chosen, Choices()))
            return seen.pop()

        before, others = compared(PHOTO), compared(str(SAMPLES[1].photo))
        measuring.know(session, 0, 3.0)
        after = compared(PHOTO)
        factor = 3.0 / measured
        np.testing.assert_allclose(after[0].depth_m, before[0].depth_m * factor, rtol=1e-5)
        # The other model's own metres differ by their range, and are brought to the same length.
        np.testing.assert_allclose(after[1].depth_m, after[0].depth_m, rtol=1e-4)
        assert all("by one known length" in one.label for one in after)
        for one, other in zip(compared(str(SAMPLES[1].photo)), others, strict=True):
            np.testing.assert_array_equal(one.depth_m, other.depth_m)

    @pytest.mark.parametrize("chosen", [[], ["rooms-b0|"], ["rooms-b0|", "nyu-b0|"], ["rooms-b0|"] * 5])
    def test_refuses_other_than_two_to_four_ready_models(
        self, session: Session, engine: Engine, chosen: list[str]
    ) -> None:
        with pytest.raises(ConfigError, match="Choose 2 to 4"):
            list(compare.compare(session, engine, PHOTO, chosen, Choices()))


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
        absrel = re.search(r"mean relative error</th><td[^>]*>([\d.]+)</td><td[^>]*>([\d.]+)</td>", last["table"])
        assert absrel
        assert float(absrel[1]) == pytest.approx(0.1, abs=0.002)
        assert float(absrel[2]) == pytest.approx(0, abs=0.002)
        assert "50% of the photo" in last["table"]
        assert "by 0.91" in last["table"]
        panes = last["maps"]["panes"]
        assert [pane["kind"] for pane in panes] == ["photo", "depth", "depth", "difference"]
        assert panes[3]["relative"]
        assert panes[3]["of"] == [2, 1]

    @pytest.mark.parametrize(
        ("truth", "says"),
        [
            (np.ones((4, 4), np.float32), "4 × 4 pixels and its photo 640 × 480"),
            (np.zeros((480, 640), np.float32), "no pixel between"),
            (np.full((480, 640), 50, np.float32), "no pixel between"),
            (np.ones((480, 640, 3), np.float32), "not a depth map"),
            (np.ones((480, 640), np.uint8), "8 bits per pixel"),
        ],
        ids=["size", "empty", "too far", "colors", "8 bit"],
    )
    def test_bad_truth_is_told_in_a_sentence(
        self, session: Session, engine: Engine, tmp_path: Path, truth: np.ndarray, says: str
    ) -> None:
        np.save(tmp_path / "truth.npy", truth)
        with pytest.raises(GLPNError, match=says) as caught:
            self.evaluate(session, engine, tmp_path / "truth.npy", 1000)
        assert str(tmp_path) not in str(caught.value)

    def test_bad_files_and_choices_are_told_before_a_model_runs(
        self, session: Session, engine: Engine, tmp_path: Path
    ) -> None:
        broken = tmp_path / "truth.png"
        broken.write_bytes(b"no picture")
        with pytest.raises(GLPNError, match=r"'truth.png' can't be read"):
            self.evaluate(session, engine, broken, 1000)
        with pytest.raises(PhotoError):
            self.evaluate(session, engine, MEASURED[0].truth, 1000, photo=__file__)
        with pytest.raises(VariantNotTrained):
            self.evaluate(session, engine, MEASURED[0].truth, 1000, model="nyu-b0")
        with pytest.raises(PhotoNotFound, match="no true depth yet"):
            list(evaluate.evaluate(session, engine, PHOTO, None, 1000, VARIANT, Choices()))
        assert engine.store.asked == []  # type: ignore[attr-defined]


class TestZoo:
    def test_filters(self, engine: Engine) -> None:
        assert f"{len(engine.zoo)} of {len(engine.zoo)}" in zoo.zoo_table(engine)
        assert f"2 of {len(engine.zoo)}" in zoo.zoo_table(engine, "Published")
        assert f"1 of {len(engine.zoo)}" in zoo.zoo_table(engine, "All", "kitti b4")
        assert "No variant" in zoo.zoo_table(engine, "Embedded", "<b>")

    def test_the_embedded_model_is_verified_and_not_removed(self, engine: Engine) -> None:
        assert "files verified" in zoo.check(engine, VARIANT)
        with pytest.raises(GLPNError, match="part of this app"):
            zoo.remove(engine, VARIANT)

    def test_download_now_verify_and_remove(
        self, engine: Engine, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        spec = engine.zoo["nyu-b4"]
        assert spec.source.repo_id is not None
        config = json.dumps({"model_type": "glpn", "max_depth": 10}).encode()
        files = {"config.json": config, "preprocessor_config.json": b"{}", "model.safetensors": bytes(3_000_000)}
        server.repo(spec.source.repo_id).commit(files)
        *progress, last = zoo.download(engine, "nyu-b4", threading.Event())
        assert "nyu-b4 is downloaded and verified" in last
        assert any("of 3.0 MB" in step for step in progress)
        assert zoo.disk_used(engine.zoo) >= 3_000_000
        assert "yes" in zoo.zoo_table(engine, "All", "nyu b4")
        assert "files verified" in zoo.check(engine, "nyu-b4")
        assert "3.0 MB freed" in zoo.remove(engine, "nyu-b4")
        assert zoo.disk_used(engine.zoo) == 0
        assert "is not downloaded" in zoo.check(engine, "nyu-b4")


class TestHost:
    @pytest.mark.parametrize(
        ("environment", "host"),
        [
            ({}, Host(public=False, own_checkpoints=True)),
            ({"SPACE_ID": "someone/space"}, Host(public=True, own_checkpoints=False, trust_proxy=True)),
            ({"SPACE_ID": "someone/space", "GLPN_OWN_CHECKPOINTS": "1"}, Host(public=True, trust_proxy=True)),
        ],
        ids=["laptop", "Space", "Space that allows it"],
    )
    def test_a_space_is_public(self, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: Host) -> None:
        for name in ("SPACE_ID", "GLPN_OWN_CHECKPOINTS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert Host.of() == host

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
            card = html.card(spec, cached=False, seconds=None)
            assert spec.license in card or spec.license.replace("'", "&#x27;") in card
            assert ("can&#x27;t be run" in card) == (not spec.ready)

    def test_kittis_card_says_why_80_m(self, engine: Engine) -> None:
        assert engine.zoo["kitti-b4"].max_depth_note is not None
        assert "80 m" in html.card(engine.zoo["kitti-b4"], cached=False, seconds=1.5)

    def test_text_is_escaped_and_backticks_become_code(self) -> None:
        assert html.rich("a `<b>` & c") == "a <code>&lt;b&gt;</code> &amp; c"


def test_the_zoo_tells_how_to_train_what_is_missing(engine):
    page = zoo.training_help(engine)
    for spec in engine.zoo:
        assert (f"zoo train {spec.id} --data DIR" in page) == (not spec.ready)
    assert "A trained model" in page and "--publish" in page and "RTX 3060" in page
    assert page.count(" GB") == 1 + 2 * sum(not spec.ready for spec in engine.zoo)
    assert "kitti-b0" not in zoo.training_help(engine, text="nyu")
    assert zoo.training_help(engine, "Published") == ""


def test_each_texture_of_the_scene_is_a_trace_of_its_own() -> None:
    result = actions.example(SAMPLES[0])
    drawn = [
        json.loads(drawing.surface(result, Look(texture=texture, detail="draft"))) for texture in ("photo", "depth")
    ]
    assert [figure["data"][0]["uid"] for figure in drawn] == ["photo", "depth"]


def test_nobody_is_sent_half_a_picture(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tabs draw one result at once: the browser may fetch what the first named while the second writes it again."""
    result, folder, write, seen = actions.example(SAMPLES[0]), session.folder, Path.write_bytes, []

    def write_slowly(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        for picture in (file for file in folder.iterdir() if not file.name.startswith(".")):
            seen.append(picture.suffix)
            with Image.open(picture) as image:
                image.load()  # raises for half a file
        return write(path, data)

    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(Path, "write_bytes", write_slowly)
    drawing.depth(result, Look(), folder)
    (folder / f"{result.token}-depth.png").unlink()
    drawing.depth(result, Look(), folder, spread=np.ones(result.prediction.size, np.float32))
    assert ".jpg" in seen
