"""A script for transformers with its import changed: processor, network, depth at the photo's size.

python examples/as_in_transformers.py photo.jpg [vinvino02/glpn-nyu]
"""

import sys

import torch
from PIL import Image

from glpn import GLPNForDepthEstimation, GLPNImageProcessor
from glpn.zoo import Zoo

photo = Image.open(sys.argv[1])
source = sys.argv[2] if len(sys.argv) > 2 else Zoo.load()["rooms-b0"].folder
processor = GLPNImageProcessor.from_pretrained(source)
model = GLPNForDepthEstimation.from_pretrained(source).eval()
with torch.inference_mode():
    outputs = model(**processor(images=photo, return_tensors="pt"))
[depth] = processor.post_process_depth_estimation(outputs, target_sizes=[(photo.height, photo.width)])
depth_m = depth["predicted_depth"]
print(f"{depth_m.shape[1]} × {depth_m.shape[0]} pixels, {depth_m.min():.2f} to {depth_m.max():.2f} m")
