"""Depth of a folder of photos, or of a bucket, on all machines of a Ray cluster; a second run does what is missing.

python examples/ray_batch.py photos out [--model rooms-b0] [--address auto] [--workers 2] [--gpus 0]

Folders may be addresses such as s3://bucket/photos. `out` gets Parquet files: path, depth_png, nearest_m, farthest_m,
prediction (JSON), and error, which says why a photo failed.
"""

import argparse

import ray

from glpn.cluster import estimate_on_cluster

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("photos")
parser.add_argument("out")
parser.add_argument("--model", default="rooms-b0")
parser.add_argument("--address", help='"auto" for the cluster that this machine belongs to; without it, its own cores')
parser.add_argument("--workers", type=int, help="actors, each with a copy of the model; Ray chooses otherwise")
parser.add_argument("--gpus", type=float, default=0, help="of each actor; 0.5 puts two on one card")
given = parser.parse_args()
ray.init(given.address)
run = estimate_on_cluster(given.photos, given.out, model=given.model, workers=given.workers, gpus=given.gpus)
print(f"{run.estimated} photos estimated, {run.failed} failed, {run.finished_before} were finished before.")
