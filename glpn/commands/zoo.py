"""`glpn zoo ACTION`: list, explain, download, verify, lock, remove, train and add models."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glpn.access import HubAccess
from glpn.errors import CheckpointError, HubError, ZooError
from glpn.hub import megabytes, remove_repo
from glpn.zoo import ModelSpec, Zoo, users_manifest
from glpn.zoo.add import add
from glpn.zoo.locate import is_cached, locate, verify
from glpn.zoo.lock import lock

from .terminal import download_bar, print_aligned, print_json

EXAMPLES = (
    "glpn zoo list",
    "glpn zoo info nyu-b4",
    "glpn zoo download nyu-b4 kitti-b4",
    "glpn zoo verify --json",
    "glpn zoo train nyu-b2 --data nyu_depth_v2/ --publish me/glpn-nyu-b2",
    "glpn zoo add me/glpn-nyu-b2",
)
TABLE_BEGIN, TABLE_END = "<!-- zoo:begin -->", "<!-- zoo:end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--manifest", type=Path, action="append", default=[], metavar="FILE", help="add your own rows")
    common.add_argument("--cache-dir", type=Path, metavar="DIR", help="Hub cache (default: that of huggingface_hub)")
    common.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, (summary, ids, function) in ACTIONS.items():
        command = actions.add_parser(action, help=summary, description=summary, parents=[common])
        if action == "add":
            command.add_argument("repo_id", metavar="OWNER/NAME", help="a GLPN on the Hub")
            command.add_argument("--id", help="what to call it (default: as published, or the repository's name)")
            command.add_argument("--ref", default="main", help="branch or refs/pr/N (default: %(default)s)")
            command.add_argument("--to", type=Path, metavar="FILE", help="manifest to write (default: your own)")
        elif ids:
            command.add_argument("ids", nargs=None if ids == 1 else ids, metavar="ID", help="variant, such as nyu-b4")
        if action in ("train", "recipe"):
            _add_recipe(command)
        if action == "train":
            _add_training(command)
        if action in ("download", "lock", "add"):
            command.add_argument("--token", help="Hub token (default: that of `hf auth login` or HF_TOKEN)")
        command.set_defaults(function=function)


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `glpn zoo train`."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of NYU or KITTI; with --distill, of photos")
    parser.add_argument("--lists", type=Path, metavar="DIR", help="folder of the list files, if it is another")
    parser.add_argument("--test-data", type=Path, metavar="DIR", help="NYU or KITTI to measure with (default: --data)")
    parser.add_argument(
        "--hub", metavar="OWNER/NAME", help="stream the pairs of a data set on the Hub instead of --data"
    )
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="a changed recipe, from `glpn zoo recipe`")
    parser.add_argument("--out", type=Path, metavar="DIR", help="everything of this run (default: runs/ID)")
    parser.add_argument(
        "--dry-run", action="store_true", help="read ten samples, draw them, time the machine, and stop"
    )
    parser.add_argument("--accept-licenses", action="store_true", help="yes to the licences that are shown")
    parser.add_argument("--publish", metavar="OWNER/NAME", help="upload the result and make it a choice of your page")
    parser.add_argument("--private", action="store_true", default=None, help="publish into a private repository")
    parser.add_argument("--patience", type=int, default=0, metavar="N", help="stop after N epochs without progress")
    parser.add_argument("--compile", action="store_true", help="use torch.compile; --dry-run says whether it pays")
    parser.add_argument("--tensorboard", action="store_true", help="also log for TensorBoard")
    parser.add_argument("--workers", type=int, default=0, help="processes that read data (default: %(default)s)")


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `glpn zoo recipe`."""
    parser.add_argument("--distill", action="store_true", help="learn from the published b4 and photos, without labels")
    parser.add_argument("--rehearsal", action="store_true", help="the same in miniature: a minute on a laptop")
    parser.add_argument("--gpu-memory", type=float, default=12, metavar="GB", help="to fit into (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for and return the exit code."""
    zoo = Zoo.load(extra=args.manifest)
    function: Callable[[argparse.Namespace, Zoo], int] = args.function
    return function(args, zoo)


def table(zoo: Zoo) -> str:
    """Write the model table of the README, in Markdown, between its two markers."""
    rows = [("Variant", "Status", "Parameters", "Weights", "Depth up to", "Accuracy", "Licence")]
    rows += [
        (
            f"`{spec.id}`",
            spec.status,
            _millions(spec.parameters),
            megabytes(spec.size_bytes) if spec.ready else "none",
            f"{spec.max_depth_m:g} m",
            "; ".join(f"{metric} ({metric.dataset})" for metric in spec.metrics) or "–",
            spec.license,
        )
        for spec in zoo
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|--:|--:|--:|---|---|")
    return "\n".join((TABLE_BEGIN, *lines, TABLE_END))


def _list(args: argparse.Namespace, zoo: Zoo) -> int:
    rows = [_summary(spec, args.cache_dir) for spec in zoo]
    if args.json:
        return print_json(rows)
    print_aligned(
        ("variant", "status", "parameters", "size", "cached", "licence", "accuracy"),
        [
            (
                row["id"],
                row["status"],
                _millions(row["parameters"]),
                megabytes(row["size_bytes"]) if row["status"] != "untrained" else "-",
                "yes" if row["cached"] else "no",
                row["license"],
                row["accuracy"] or "-",
            )
            for row in rows
        ],
        right=(2, 3),
    )
    return 0


def _info(args: argparse.Namespace, zoo: Zoo) -> int:
    spec = zoo[args.ids]
    if args.json:
        return print_json(asdict(spec) | _summary(spec, args.cache_dir) | {"manifest": str(spec.manifest)})
    lines = [
        ("variant", f"{spec.id}: {spec.title}"),
        ("status", spec.status),
        ("encoder", spec.encoder or "custom"),
        ("parameters", f"{spec.parameters:,}"),
        ("weights", megabytes(spec.size_bytes) + ("" if spec.ready else " (encoder alone, about)")),
        ("cached", "yes" if is_cached(spec, cache_dir=args.cache_dir) else "no"),
        ("depth", f"0 to {spec.max_depth_m:g} m"),
        ("", spec.max_depth_note or ""),
        ("working size", f"short side {spec.working_short_side} px"),
        ("camera", f"focal length {spec.camera.fx_over_width:g} × width in training"),
        ("source", _source(spec)),
        *(
            (f"{file.name} ({file.ref})" if file.ref else file.name, file.sha256 or "digest not measured yet")
            for file in spec.source.files
        ),
        ("licence", spec.license),
        ("", spec.license_note),
        *(("accuracy", f"{metric} on {metric.dataset} ({metric.source})") for metric in spec.metrics),
    ]
    width = max(len(name) for name, _ in lines)
    print("\n".join(f"{name:{width}}  {value}" for name, value in lines if value))
    return 0


def _download(args: argparse.Namespace, zoo: Zoo) -> int:
    paths = {}
    for name in args.ids:
        spec = zoo[name]
        with download_bar() as progress:
            found = locate(
                spec.id, zoo=zoo, access=HubAccess(cache_dir=args.cache_dir, token=args.token, progress=progress)
            )
        paths[spec.id] = str(found.weights)
        if not args.json:
            print(f"{spec.id}: {found.weights}")
    return print_json(paths) if args.json else 0


def _verify(args: argparse.Namespace, zoo: Zoo) -> int:
    results: dict[str, str] = {}
    failed = False
    for spec in [zoo[name] for name in args.ids] or zoo:
        try:
            paths = verify(spec, cache_dir=args.cache_dir)
            results[spec.id] = f"{len(paths)} files verified" if paths else "not on this machine"
        except (HubError, CheckpointError) as error:
            results[spec.id] = str(error)
            failed = True
    if args.json:
        print_json(results)
    else:
        print_aligned(("variant", "files"), list(results.items()))
    return 1 if failed else 0


def _lock(args: argparse.Namespace, zoo: Zoo) -> int:
    changes = [change for spec in [zoo[name] for name in args.ids] or zoo for change in lock(spec, token=args.token)]
    if args.json:
        return print_json([{"where": where, "key": key, "value": value} for where, key, value in changes])
    print("\n".join(f"{where}: {key} {value}" for where, key, value in changes) or "Nothing changed.")
    return 0


def _train(args: argparse.Namespace, zoo: Zoo) -> int:
    from .zoo_train import run  # here, because listing models does not need torch

    return run(args, zoo)


def _recipe(args: argparse.Namespace, zoo: Zoo) -> int:
    from .zoo_train import print_recipe

    return print_recipe(args, zoo)


def _add(args: argparse.Namespace, zoo: Zoo) -> int:
    manifest = args.to or users_manifest()
    added = add(args.repo_id, manifest=manifest, zoo=zoo, ref=args.ref, row_id=args.id, token=args.token)
    if args.json:
        return print_json({"id": added.spec.id, "manifest": str(manifest), "revision": added.spec.source.revision})
    instead = f", in the place of the {added.before.status} row" if added.before else ""
    print(f"{added.spec.id} is {_source(added.spec)} now, in {manifest}{instead}.")
    return 0


def _remove(args: argparse.Namespace, zoo: Zoo) -> int:
    spec = zoo[args.ids]
    if spec.source.repo_id is None:
        raise ZooError(
            f"{spec.id} is {spec.status}, not a download: {spec.folder} stays. Delete it by hand if you mean it."
        )
    freed = remove_repo(spec.source.repo_id, cache_dir=args.cache_dir)
    if args.json:
        return print_json({"id": spec.id, "freed_bytes": freed})
    print(f"{spec.id}: {megabytes(freed)} freed" if freed else f"{spec.id} was not on this machine.")
    return 0


def _path(args: argparse.Namespace, zoo: Zoo) -> int:
    found = locate(zoo[args.ids].id, zoo=zoo, access=HubAccess(cache_dir=args.cache_dir, local_files_only=True))
    if args.json:
        return print_json({"id": found.spec.id, "weights": str(found.weights), "config": str(found.config)})
    print(found.weights)
    return 0


def _table(args: argparse.Namespace, zoo: Zoo) -> int:
    print(table(zoo))
    return 0


ACTIONS: dict[str, tuple[str, int | str, Callable[[argparse.Namespace, Zoo], int]]] = {
    "list": ("list all variants", 0, _list),
    "info": ("show the details of a variant", 1, _info),
    "download": ("download and verify variants", "+", _download),
    "verify": ("hash files again; without ID, all", "*", _verify),
    "lock": ("write commit and digests into the manifest; without ID, for all", "*", _lock),
    "remove": ("remove a variant's repository from the Hub cache", 1, _remove),
    "path": ("print where a variant's weights are", 1, _path),
    "train": ("train an untrained variant, measure it, write its card and publish it", 1, _train),
    "recipe": ("print the recipe of a variant, to be changed", 1, _recipe),
    "add": ("make a GLPN on the Hub a row of your own manifest", 0, _add),
    "table": ("print the README's model table", 0, _table),
}


def _summary(spec: ModelSpec, cache_dir: Path | None) -> dict[str, Any]:
    return {
        "id": spec.id,
        "title": spec.title,
        "status": spec.status,
        "parameters": spec.parameters,
        "size_bytes": spec.size_bytes,
        "cached": is_cached(spec, cache_dir=cache_dir),
        "max_depth_m": spec.max_depth_m,
        "license": spec.license,
        "accuracy": "; ".join(map(str, spec.metrics)),
    }


def _source(spec: ModelSpec) -> str:
    if spec.source.repo_id is None:
        return str(spec.folder)
    pinned = f"commit {spec.source.revision[:12]}" if spec.source.revision else f"{spec.source.ref}, not pinned yet"
    return f"https://huggingface.co/{spec.source.repo_id} ({pinned})"


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M"
