"""A script written for transformers runs with `from glpn import …` and prints the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
import torch
from parity import TINY, pair
from PIL import Image

from glpn.configuration import GLPNConfig
from glpn.model.export import ExportSettings, export
from glpn.model.modeling import GLPNForDepthEstimation

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


TRAIN = """
import torch
from transformers import Trainer, TrainingArguments
from glpn import GLPNForDepthEstimation, GLPNImageProcessor

folder, out = {folder!r}, {out!r}
model = GLPNForDepthEstimation.from_pretrained(folder)
processor = GLPNImageProcessor.from_pretrained(folder)

class Scenes(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        photo = (torch.rand(3, 64, 64, generator=generator) * 255).byte()
        pixels = processor(photo, return_tensors="pt").pixel_values[0]
        return dict(pixel_values=pixels, labels=torch.rand(64, 64, generator=generator) * 9 + 0.5)

arguments = TrainingArguments(
    output_dir=out, max_steps=2, per_device_train_batch_size=2, gradient_accumulation_steps=2, save_steps=2,
    report_to=[], use_cpu=True, gradient_checkpointing={checkpointing}, dataloader_pin_memory=False,
    per_device_eval_batch_size=2,
)
trainer = Trainer(
    model=model, args=arguments, train_dataset=Scenes(), eval_dataset=Scenes(), processing_class=processor,
    compute_metrics=lambda scores: dict(shape=float(len(scores.predictions.shape)), error=float(
        abs(scores.predictions - scores.label_ids).mean())),
)
result = trainer.train()
assert result.global_step == 2 and result.training_loss > 0
measured = trainer.evaluate()
assert measured["eval_loss"] > 0 and measured["eval_shape"] == 3.0
trainer.save_model(out)
model.eval()
again = GLPNForDepthEstimation.from_pretrained(out, config=model.config)
x = torch.rand(1, 3, 64, 64)
with torch.no_grad():
    assert torch.equal(again(x).predicted_depth, model(x).predicted_depth)
assert GLPNImageProcessor.from_pretrained(out).size_divisor == 32
print("trained")
"""

DEVICE_MAP = """
import torch
from PIL import Image
from glpn import GLPNForDepthEstimation, GLPNImageProcessor

processor = GLPNImageProcessor.from_pretrained({folder!r}, use_fast=True)
model = GLPNForDepthEstimation.from_pretrained(
    {folder!r}, device_map="auto", torch_dtype=torch.float32, low_cpu_mem_usage=True
)
inputs = processor(images=Image.new("RGB", (100, 70), "gray"), return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)
[result] = processor.post_process_depth_estimation(outputs, target_sizes=[(70, 100)])
print("depth", tuple(result["predicted_depth"].shape), outputs.predicted_depth.device == model.device)
"""


def printed_by(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture
def folder(tmp_path):
    pair(GLPNConfig(**TINY))[1].save_pretrained(tmp_path / "checkpoint")
    return str(tmp_path / "checkpoint")


@pytest.mark.parametrize("checkpointing", [False, True])
def test_fine_tuning_with_trainer(folder, tmp_path, checkpointing):
    code = TRAIN.format(folder=folder, out=str(tmp_path / "out"), checkpointing=checkpointing)
    assert printed_by(code).endswith("trained\n")


def test_a_device_map_script(folder):
    assert printed_by(DEVICE_MAP.format(folder=folder)) == "depth (70, 100) True\n"


def test_the_example_runs_an_exported_file_without_pytorch(folder, tmp_path):
    model = GLPNForDepthEstimation.from_pretrained(folder)
    (made,) = export(model, tmp_path, "tiny", ExportSettings(size=(64, 96), photo=True))
    Image.new("RGB", (90, 60), "gray").save(tmp_path / "photo.png")
    example = Path(__file__).parents[1] / "examples" / "onnx_depth.py"
    subprocess.run([sys.executable, example, made.path, "photo.png"], check=True, cwd=tmp_path, capture_output=True)
    with Image.open(tmp_path / "depth_mm.png") as depth:
        assert depth.size == (90, 60)
        low, high = depth.getextrema()
        assert 0 < low <= high <= 10_000


def test_gradients_through_checkpointing_are_the_same(folder):
    gradients = []
    for checkpointing in (False, True):
        model = GLPNForDepthEstimation.from_pretrained(folder, drop_path_rate=0.0).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        model(photo, labels=torch.ones(1, 64, 64)).loss.backward()
        gradients.append(model.glpn.encoder.patch_embeddings[0].proj.weight.grad)
    torch.testing.assert_close(gradients[1], gradients[0])
