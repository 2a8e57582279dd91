"""GLPN monocular depth estimation: a photo in, metres out.

The names below are imported from their modules when first used, so that neither the page nor `glpn zoo list` waits for
PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Camera as Camera
    from .configuration import GLPNConfig as GLPNConfig
    from .errors import GLPNError as GLPNError
    from .estimator import DepthEstimator as DepthEstimator
    from .estimator import load_estimator as load_estimator
    from .model.image_processing import GLPNFeatureExtractor as GLPNFeatureExtractor
    from .model.image_processing import GLPNImageProcessor as GLPNImageProcessor
    from .model.modeling import GLPNForDepthEstimation as GLPNForDepthEstimation
    from .model.modeling import GLPNModel as GLPNModel
    from .photo import Photo as Photo
    from .photo import load_photo as load_photo
    from .prediction import DepthPrediction as DepthPrediction
    from .zoo import ModelSpec as ModelSpec
    from .zoo import Zoo as Zoo

__version__ = "0.2.0"

_HOMES = {
    "Camera": "camera",
    "DepthEstimator": "estimator",
    "DepthPrediction": "prediction",
    "GLPNConfig": "configuration",
    "GLPNError": "errors",
    "GLPNFeatureExtractor": "model.image_processing",
    "GLPNForDepthEstimation": "model.modeling",
    "GLPNImageProcessor": "model.image_processing",
    "GLPNModel": "model.modeling",
    "ModelSpec": "zoo",
    "Photo": "photo",
    "Zoo": "zoo",
    "load_estimator": "estimator",
    "load_photo": "photo",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
