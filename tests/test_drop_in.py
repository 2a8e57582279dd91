"""A script written for transformers runs with `from glpn import …` and prints the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from test_modeling import pair

from glpn.configuration import GLPNConfig

SCRIPT = """
import torch
from PIL import Image
from {library} import GLPNForDepthEstimation, {processor}

image = Image.open({photo!r})
processor = {processor}.from_pretrained({folder!r})
model = GLPNForDepthEstimation.from_pretrained({folder!r})
inputs = processor(images=image, return_tensors="pt")
print("pixels", tuple(inputs["pixel_values"].shape), inputs.pixel_values.dtype)
with torch.no_grad():
    outputs = model(**inputs, output_hidden_states=True)
result = processor.post_process_depth_estimation(outputs, target_sizes=[(image.height, image.width)])
depth = result[0]["predicted_depth"]
print("depth", tuple(depth.shape), f"{{depth.min():.4f}} {{depth.mean():.4f}} {{depth.max():.4f}}")
print("stages", *[f"{{state.std():.4f}}" for state in outputs.hidden_states])
print("corner", *[f"{{value:.3f}}" for value in depth[:3, :3].flatten()])
"""


@pytest.mark.parametrize("saved_by", ["transformers", "glpn"])
def test_the_same_script_prints_the_same(tmp_path, saved_by):
    theirs, ours = pair(GLPNConfig())
    folder = tmp_path / "checkpoint"
    if saved_by == "glpn":
        ours.save_pretrained(folder)
    else:
        theirs.save_pretrained(folder)
        from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

        GLPNImageProcessorPil().save_pretrained(folder)
    photo = tmp_path / "photo.png"
    Image.fromarray(skimage.data.coffee()).resize((300, 200)).save(photo)
    printed = []
    for library, processor in (("transformers", "GLPNImageProcessorPil"), ("glpn", "GLPNImageProcessor")):
        code = SCRIPT.format(library=library, processor=processor, photo=str(photo), folder=str(folder))
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout)
    assert printed[0].startswith("pixels (1, 3, 192, 288) torch.float32")
    assert printed[1] == printed[0]
