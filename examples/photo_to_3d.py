"""A photo as a mesh for Blender (.glb), depth in millimetres (.png) and a page that turns (.html).

python examples/photo_to_3d.py photo.jpg out
"""

import sys

from glpn.estimator import load_estimator
from glpn.scene.look import Look

photo, folder = sys.argv[1:]
prediction = load_estimator("rooms-b0")(photo)
for path in prediction.write(folder, ["glb", "depth-png", "html"], look=Look(colors="viridis", detail="fine")):
    print(path)
