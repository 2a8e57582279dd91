"""`glpn publish FOLDER`: a checkpoint with its card and manifest row, on the Hub."""

import argparse
import json
from pathlib import Path

from glpn.hub.upload import plan_upload, push
from glpn.training.publish import Publication, write_publication

EXAMPLES = (
    "glpn publish run/model --repo me/glpn-nyu-b0 --id nyu-b0 --title 'Indoor, MiT-b0' "
    "--trained-on 'NYU Depth V2' --license Apache-2.0 --dry-run",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what train or distill wrote as model/")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="your repository on the Hub")
    parser.add_argument("--id", required=True, help="variant id, such as nyu-b0")
    parser.add_argument("--title", required=True)
    parser.add_argument("--trained-on", required=True, help="one sentence about the data")
    parser.add_argument("--license", required=True, help="such as Apache-2.0")
    parser.add_argument("--license-note", default="as stated by whoever published this.")
    parser.add_argument(
        "--working-short-side", type=int, help="pixels (default: as trained by a recipe, or the paper's)"
    )
    parser.add_argument("--fx-over-width", type=float, help="training camera (default: likewise)")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="JSON list of the manifest's metric entries")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--dry-run", action="store_true", help="write the files and compare, upload nothing")


def run(args: argparse.Namespace) -> int:
    """Write the card and the row into the folder, print what would change, and upload it."""
    about = Publication(
        id=args.id,
        title=args.title,
        repo_id=args.repo,
        head=args.id.split("-")[0],
        license=args.license,
        license_note=args.license_note,
        trained_on=args.trained_on,
        working_short_side=args.working_short_side,
        fx_over_width=args.fx_over_width,
        metrics=tuple(json.loads(args.metrics.read_text(encoding="utf-8-sig"))) if args.metrics else (),
    )
    write_publication(args.folder, about)
    for upload in plan_upload(args.folder, args.repo):
        print(f"{upload.change:8} {upload.size / 1e6:9.2f} MB  {upload.name}")
    if args.dry_run:
        print("Nothing was uploaded (--dry-run).")
        return 0
    print(f"Published as {args.repo} at {push(args.folder, args.repo, private=args.private)}")
    return 0
