"""`glpn zoo train ID` and `glpn zoo recipe ID`: from scratch to a published row, asking nothing twice."""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glpn.datasets import Pairs
from glpn.errors import ConfigError, DataError
from glpn.estimator import load_estimator
from glpn.evaluation.scores import evaluate
from glpn.files import write_atomically
from glpn.hub.rows import Rows, copy_rows
from glpn.hub.upload import plan_upload, push
from glpn.model.original import encoder_source
from glpn.training.cost import RATE
from glpn.training.distributed import Group, join_group, leave_group, wait_for_all
from glpn.training.plot import write_plot
from glpn.training.preflight import inspect_source, measure_speed, write_sheet
from glpn.training.publish import Publication, write_publication
from glpn.training.recipe import Recipe, RecipeRun, fresh_network, read_recipe
from glpn.training.tasks import PaperTask
from glpn.training.trainer import TrainingSettings
from glpn.training.variants import Head, estimate_of, head_of, plan_of, recipe_of
from glpn.zoo import MANIFEST, ModelSpec, Source, Zoo, read_manifest, users_manifest
from glpn.zoo.add import add
from glpn.zoo.locate import is_cached, source_is_cached

from .terminal import show
from .training import show_progress, show_score

REMEMBERED = (
    "data",
    "lists",
    "test_data",
    "hub",
    "publish",
    "private",
)  # answers that a later run takes from the folder
MEMORY, RECIPE, METRICS = "answers.json", "recipe.toml", "metrics.json"


def print_recipe(args: argparse.Namespace, zoo: Zoo) -> int:
    """Print the recipe of a variant."""
    print(_recipe_text(args, _packaged()[args.ids], zoo), end="")
    return 0


def run(args: argparse.Namespace, zoo: Zoo) -> int:
    """Train one variant of the zoo, alone or as one process of torchrun's."""
    group = join_group()
    try:
        job = _prepare(args, zoo, group)
        if args.dry_run:
            return _dry_run(job)
        _inspect(job)
        if not _train(job):
            print(f"Stopped. `glpn zoo train {job.spec.id}` continues in {job.out}.")
            return 130
        return _finish(job) if group.leader else 0
    finally:
        leave_group(group)


# ---- What is needed ----


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of `zoo train`: what is trained, where everything lies, and what was answered."""

    spec: ModelSpec
    head: Head
    recipe: Recipe
    out: Path
    answers: dict[str, Any]
    args: argparse.Namespace
    zoo: Zoo
    group: Group

    @property
    def distills(self) -> bool:
        return any(stage.teacher_model for stage in self.recipe.stages)

    def folder(self, name: str) -> Path | None:
        """A folder that was answered: now, or in an earlier run."""
        return Path(self.answers[name]) if self.answers.get(name) else None

    @property
    def data(self) -> Path | None:
        return self.out / "data" if self.recipe.source and self.recipe.source.layout == "hub" else self.folder("data")

    def runner(self) -> RecipeRun:
        """What runs the recipe with this command's options."""
        args = self.args

        def adapt(settings: TrainingSettings) -> TrainingSettings:
            patience = args.patience or settings.patience
            return replace(
                settings,
                patience=patience,
                compile=args.compile or settings.compile,
                tensorboard=args.tensorboard or settings.tensorboard,
            )

        return RecipeRun(
            self.recipe,
            self.out,
            self.group,
            on_progress=show_progress,
            on_validation=show_score,
            workers=args.workers,
            root=self.data,
            lists=self.folder("lists"),
            adapt=adapt,
        )


def _packaged() -> Zoo:
    """The project's own rows: a user's row of the same id says that it is published, not how to train it."""
    return Zoo(read_manifest(MANIFEST))


def _recipe_text(args: argparse.Namespace, spec: ModelSpec, zoo: Zoo) -> str:
    return recipe_of(spec, zoo, distill=args.distill, rehearsal=args.rehearsal, gpu_bytes=args.gpu_memory * 1e9)


def _prepare(args: argparse.Namespace, zoo: Zoo, group: Group) -> Job:
    """Find out what is needed, say it, and ask what has not been asked before."""
    spec = _packaged()[args.ids]
    head = head_of(spec)
    out = args.out or Path("runs") / (f"{spec.id}-distill" if args.distill else spec.id)
    if zoo[spec.id].ready and not out.exists():
        raise ConfigError(
            f"{spec.id} is {zoo[spec.id].status} already: `glpn zoo download {spec.id}`. To train it all the same, "
            "name a folder that exists with --out."
        )
    if group.leader:
        out.mkdir(parents=True, exist_ok=True)
        if args.recipe:
            write_atomically(out / RECIPE, _bytes_of(args.recipe))
        elif not (out / RECIPE).exists():
            write_atomically(out / RECIPE, _recipe_text(args, spec, zoo).encode())
        _remember(args, out)
    wait_for_all(group)
    recipe = _with_hub(read_recipe(out / RECIPE), args, out)
    answers = json.loads((out / MEMORY).read_text(encoding="utf-8-sig"))
    job = Job(spec=spec, head=head, recipe=recipe, out=out, answers=answers, args=args, zoo=zoo, group=group)
    if group.leader:
        print("\n".join(_needs(job)))
        _ask_for_licenses(job)
        _copy_from_hub(job)
    wait_for_all(group)
    return job


def _bytes_of(recipe: Path) -> bytes:
    try:
        return recipe.read_bytes()
    except OSError as error:
        raise ConfigError(f"The recipe {recipe} can't be read: {error.strerror}.") from error


def _remember(args: argparse.Namespace, out: Path) -> None:
    """Add this run's answers to those of earlier runs in the same folder."""
    path = out / MEMORY
    answers = json.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {"accepted": []}
    for name in REMEMBERED:
        value = getattr(args, name)
        if value is not None:
            answers[name] = str(value.resolve()) if isinstance(value, Path) else value
    write_atomically(path, json.dumps(answers, indent=2).encode())


def _with_hub(recipe: Recipe, args: argparse.Namespace, out: Path) -> Recipe:
    """The recipe with its pairs from the Hub, if --hub named a data set now or before."""
    hub = json.loads((out / MEMORY).read_text(encoding="utf-8-sig")).get("hub")
    if not hub or recipe.source is None:
        return recipe
    return replace(recipe, source=replace(recipe.source, layout="hub", repo_id=hub))


def _needs(job: Job) -> list[str]:
    """Say what the training takes, in lines. Raises `ConfigError` if the data are missing."""
    source, spec, head = job.recipe.source, job.spec, job.head
    if source is None:
        raise ConfigError(f"{job.out / RECIPE} renders scenes. Run it with `glpn train --recipe`.")
    where = f"{source.repo_id} on the Hub" if source.layout == "hub" else job.data
    lines = [
        f"{spec.id}: {spec.title}, {spec.parameters / 1e6:.1f} M parameters. Everything goes to {job.out}",
        f"  encoder   {spec.source.repo_id}",
        *([f"  teacher   {head.teacher} ({job.zoo[head.teacher].source.repo_id})"] if job.distills else []),
        f"  data      {where or ('photos' if job.distills else head.dataset) + ', which --data names'}",
        f"  takes     {estimate_of(plan_of(spec, job.zoo, distill=job.distills))}",
    ]
    if where is None:
        wanted = "a folder of photos" if job.distills else f"the folder of {head.dataset} ({head.homepage})"
        raise ConfigError(
            "\n".join(
                [*lines, f"The data are missing: name {wanted} with --data, or a data set of the Hub with --hub."]
            )
        )
    return lines


def _downloads(job: Job) -> dict[str, str]:
    """What is going to be downloaded, with its terms."""
    wanted: dict[str, str] = {}
    if any(stage.start == "imagenet" for stage in job.recipe.stages):
        source: Source = encoder_source(str(job.spec.encoder), job.zoo)
        if not source_is_cached(source):
            wanted[f"encoder {source.repo_id}"] = job.spec.license_note
    if job.distills:
        teacher = job.zoo[job.head.teacher]
        if not is_cached(teacher):
            wanted[f"teacher {teacher.source.repo_id}"] = teacher.license_note
    source_of_data = job.recipe.source
    if source_of_data and source_of_data.layout == "hub":
        wanted[f"data {source_of_data.repo_id}"] = job.head.license
    return wanted


def _ask_for_licenses(job: Job) -> None:
    """Show the terms of what will be downloaded and ask once; the answer is kept in the folder."""
    accepted = set(job.answers["accepted"])
    wanted = {name: terms for name, terms in _downloads(job).items() if name not in accepted}
    if not wanted:
        return
    print("To be downloaded:")
    print("\n".join(f"  {name}: {terms}" for name, terms in wanted.items()))
    if not job.args.accept_licenses and not _yes("Do you accept these terms? [y/N] "):
        raise ConfigError("Nothing was downloaded. Accept the terms above with --accept-licenses.")
    job.answers["accepted"] = sorted(accepted | wanted.keys())
    write_atomically(job.out / MEMORY, json.dumps(job.answers, indent=2).encode())


def _yes(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _copy_from_hub(job: Job) -> None:
    source = job.recipe.source
    if source is None or source.layout != "hub":
        return
    for part, split in (("train", source.train), ("test", source.test)):
        rows = Rows(
            repo_id=source.repo_id, split=split, image=source.image, depth=source.depth, revision=source.revision
        )
        count = copy_rows(rows, job.out / "data" / part, progress=lambda n, split=split: show(f"{split}: {n} rows"))  # type: ignore[misc]
        show("")
        print(f"  {split}: {count} pairs in {job.out / 'data' / part}")


# ---- Before, during, after ----


def _sources(job: Job) -> dict[str, Pairs]:
    """The data by name: what is trained on, held out, and measured on at the end where that is known."""
    pairs, held_out = job.runner().pairs()
    sources = {"training": pairs, "validation": held_out}
    test = _test_pairs(job)
    return sources | ({"test": test} if test else {})


def _inspect(job: Job) -> None:
    """Look at ten samples of each source before hours are spent on them. Raises `DataError` if none can be used."""
    if not job.group.leader:
        return
    for name, pairs in _sources(job).items():
        report, samples = inspect_source(name, pairs, job.recipe.config.max_depth)
        print("\n".join(f"  {line}" for line in report.lines()))
        if not samples:
            raise DataError(f"None of {len(report.problems)} samples for {name} can be used. {report.problems[0]}")


def _dry_run(job: Job) -> int:
    """Read, draw and judge samples, time the machine, and leave."""
    problems = False
    augmentation = job.recipe.stages[-1].settings.augmentation
    sheet = job.out / "samples.png"
    for name, pairs in _sources(job).items():
        report, samples = inspect_source(name, pairs, job.recipe.config.max_depth)
        print("\n".join(f"  {line}" for line in report.lines()))
        problems |= bool(report.problems)
        if name == "training" and samples:
            write_sheet(sheet, samples, augmentation)
            print(f"  {sheet}: picture, depth, and what the network will see of both")
    settings = job.recipe.stages[-1].settings

    def task(compiled: bool) -> PaperTask:
        made = PaperTask(fresh_network(job.recipe.config))
        if compiled:
            made.compile()
        return made

    products = plan_of(job.spec, job.zoo, distill=job.distills).products
    cuda = job.group.device.type == "cuda"
    for compiled in (False, True) if cuda else (False,):
        speed = measure_speed(
            lambda compiled=compiled: task(compiled),  # type: ignore[misc]
            job.recipe.config, augmentation.size, settings.batch_size, job.group,
        )  # fmt: skip
        print(
            f"  this machine{', compiled' if compiled else ''}: {speed.products_per_s / 1e9:.0f} G products/s "
            f"(estimates assume {RATE / 1e9:.0f}), so {products / speed.products_per_s / 3600:.1f} hours"
            + (f"; {speed.bytes_used / 1e9:.1f} GB" if speed.bytes_used else "")
        )
    print("Nothing was trained (--dry-run).")
    return 1 if problems else 0


def _train(job: Job) -> bool:
    """Run the recipe's stages; whether they are finished. The model is in the folder then."""
    if (job.out / "model" / "config.json").exists():
        return True
    network = job.runner().train()
    if network is None:
        return False
    if job.group.leader:
        last = job.recipe.stages[-1].name
        write_plot(job.out / last / "log.csv", job.out / "log.html")
        network.save_pretrained(job.out / "model")
        write_atomically(job.out / "model" / RECIPE, (job.out / RECIPE).read_bytes())
        show("")
        print(f"The model is in {job.out / 'model'}, the course of training in {job.out / 'log.html'}")
    return True


def _test_pairs(job: Job) -> Pairs | None:
    """The test pairs, or None where photos are all there is."""
    source, root = job.recipe.source, job.data
    assert source is not None and root is not None
    if source.layout != "photos" and job.folder("test_data") is None:
        return source.pairs(root, "test", lists=job.folder("lists"))
    test = job.folder("test_data")
    if test is None:
        return None
    real = replace(source, layout=job.spec.head, crop=source.crop or job.head.crop)
    return real.pairs(test, "test", lists=job.folder("lists"))


def _measure(job: Job) -> list[dict[str, Any]]:
    """Measure the model on the test pairs, once; returns the manifest's entries."""
    path = job.out / METRICS
    if path.exists():
        return list(json.loads(path.read_text(encoding="utf-8-sig")))
    pairs = _test_pairs(job)
    entries: list[dict[str, Any]] = []
    if pairs is not None:
        estimator = load_estimator(job.out / "model", device=job.group.device.type)
        score = evaluate(
            lambda rgb: estimator(rgb, resolution="native", correct_scale=False).depth_m,
            pairs,
            max_depth_m=job.recipe.config.max_depth,
            crop=job.head.test_crop,
            on_image=lambda index, _: show(f"measured {index + 1} of {len(pairs)}"),
        )
        show("")
        for alignment, metrics in (("raw", score.raw), ("median", score.scaled)):
            rounded = {name: round(float(value), 4) for name, value in metrics.to_dict().items()}
            entries.append(
                {"dataset": f"{job.head.dataset}, {len(score.images)} test pairs", "alignment": alignment}
                | rounded
                | {"source": "measured: glpn zoo train"}
            )
    write_atomically(path, json.dumps(entries, indent=2).encode())
    return entries


def _finish(job: Job) -> int:
    """Measure, write the card, and publish if that is wanted."""
    metrics, folder = _measure(job), job.out / "model"
    repo_id = job.answers.get("publish") or _asked_for_repository(job)
    write_publication(folder, _publication(job, metrics, repo_id or f"your-name/glpn-{job.spec.id}"))
    print(f"The card is {folder / 'README.md'}" + ("" if metrics else "; no accuracy: give --test-data to measure it"))
    if not repo_id:
        print(f"To publish it: glpn zoo train {job.spec.id} --publish your-name/glpn-{job.spec.id}")
        return 0
    for upload in plan_upload(folder, repo_id):
        print(f"{upload.change:8} {upload.size / 1e6:9.2f} MB  {upload.name}")
    print(f"Published as {repo_id} at {push(folder, repo_id, private=bool(job.answers.get('private')))}")
    added = add(repo_id, manifest=users_manifest(), zoo=job.zoo)
    print(f"{added.spec.id} is a choice of your page now: {users_manifest()} has its row, commit and digests.")
    print("To make it everybody's: open an issue with the template “A trained model” and name the repository.")
    return 0


def _asked_for_repository(job: Job) -> str | None:
    if not sys.stdin.isatty():
        return None
    return input(f"Publish it as (such as your-name/glpn-{job.spec.id}; empty: not now): ").strip() or None


def _publication(job: Job, metrics: list[dict[str, Any]], repo_id: str) -> Publication:
    spec, head, recipe = job.spec, job.head, job.recipe
    reduced = recipe.config.encoder != spec.encoder
    paper = next((metric for metric in job.zoo[head.teacher].metrics), None)
    trained_on = (
        f"photos, with {head.teacher} as the teacher" if job.distills else f"{head.dataset}, its usual training pairs"
    )
    terms = job.zoo[head.teacher].license_note if job.distills else head.license
    return Publication(
        id=spec.id,
        title=spec.title + (" (a rehearsal in miniature)" if reduced else ""),
        repo_id=repo_id,
        head=spec.head,
        license=spec.license,
        license_note=f"{spec.license_note} {terms}",
        trained_on=f"{trained_on}; see {RECIPE} for every setting",
        working_short_side=recipe.working_short_side,
        fx_over_width=recipe.fx_over_width,
        metrics=tuple(metrics),
        cited=dict(paper.values) if paper else None,
    )
