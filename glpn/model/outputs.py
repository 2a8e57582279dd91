"""What the models return: transformers' output classes, which are dictionaries, tuples and named fields at once."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from torch import Tensor
from torch.utils._pytree import register_pytree_node  # transformers registers its outputs with the same function


class ModelOutput(OrderedDict[str, Any]):
    """Fields by name, as keys, or by position among those that are set; a field that is None is not in the dictionary.

    Iterating gives the names, as for any dictionary; `to_tuple` gives the values. `DataParallel`, accelerate, tracing
    and exporting take it apart and put it together again.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()

        def flatten(output: Any) -> tuple[list[Any], list[str]]:
            return list(output.values()), list(output)

        def unflatten(values: Iterable[Any], names: list[str]) -> Any:
            return cls(**dict(zip(names, values, strict=True)))

        register_pytree_node(cls, flatten, unflatten, serialized_type_name=f"{cls.__module__}.{cls.__name__}")

    def __post_init__(self) -> None:
        name = fields(self)[0].name  # type: ignore[arg-type]
        first = vars(self)[name]
        if isinstance(first, Mapping | Iterator):  # made like a dictionary, of a mapping or of pairs
            super().clear()
            vars(self)[name] = None
            for key, value in dict(first).items():
                self[key] = value

    def __setattr__(self, name: str, value: Any) -> None:
        if value is not None and name in (field.name for field in fields(self)):  # type: ignore[arg-type]
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def _fixed(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has fixed fields. Make a dict of it first: dict(output).")

    __delitem__ = pop = popitem = setdefault = update = clear = _fixed

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the fields that are not None, in order."""
        return tuple(self.values())


@dataclass(eq=False, repr=False)
class EncoderOutput(ModelOutput):
    """Features of the encoder.

    last_hidden_state   (B, C4, H/32, W/32), the coarsest features
    hidden_states       the features of all stages, finest first: (B, C1, H/4, W/4) … (B, C4, H/32, W/32)
    attentions          for every block (B, heads, queries, keys), rows summing to 1
    """

    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False, repr=False)
class DepthEstimatorOutput(ModelOutput):
    """Depth of a batch of photos.

    loss              scalar, when labels were given
    predicted_depth   (B, H, W) metres in (0, max_depth)
    hidden_states     as in `EncoderOutput`
    attentions        as in `EncoderOutput`
    """

    loss: Tensor | None = None
    predicted_depth: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
