"""Depth of a photo with ONNX Runtime alone: no PyTorch, no glpn.

glpn export rooms-b0 --photo --out export
python examples/onnx_depth.py export/rooms-b0_192x256_float32_photo.onnx photo.jpg
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
photo = np.asarray(ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGB"))
depth_m = session.run(None, {"photo": photo})[0]
Image.fromarray(np.round(depth_m * 1000).astype(np.uint16)).save("depth_mm.png")
print(f"depth_mm.png: {depth_m.min():.2f} to {depth_m.max():.2f} m")
