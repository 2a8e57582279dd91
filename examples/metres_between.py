"""How far apart two pixels of a photo are, in metres.

python examples/metres_between.py photo.jpg 120,300 480,310
"""

import sys

import numpy as np

from glpn.estimator import load_estimator

photo, *pixels = sys.argv[1:]
estimator = load_estimator("rooms-b0")
prediction = estimator(photo)
points_m = prediction.camera.unproject(prediction.depth_m)
(x0, y0), (x1, y1) = (map(int, pixel.split(",")) for pixel in pixels)
distance_m = float(np.linalg.norm(points_m[y0, x0] - points_m[y1, x1]))
print(f"{distance_m:.2f} m from ({x0}, {y0}) at {prediction.depth_m[y0, x0]:.2f} m to ({x1}, {y1})")
