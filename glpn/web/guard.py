"""What a visitor sees when something goes wrong: one plain sentence, never a stack trace."""

import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any, NoReturn

import gradio as gr
from gradio.routes import file_upload_statuses

from glpn.errors import Cancelled, GLPNError

from .doors import DISK_FULL, FULL
from .session import Superseded
from .uploads import Uploads

logger = logging.getLogger(__name__)
OUR_FAULT = "Something went wrong here, not with your photo. It has been logged; please try again."
NOT_A_VALUE = "One of the values is not what this call takes. gradio_api/info lists their names, types and defaults."
NO_MEMORY = "This page has no memory left for that. Please try again in a minute, or with a smaller photo."


@contextmanager
def plainly() -> Iterator[None]:
    """Turn what is raised inside into a gr.Error of one escaped sentence; other errors than ours are logged whole."""
    try:
        yield
    except (gr.Error, GeneratorExit):
        raise
    except Superseded:
        pass
    except Cancelled as error:
        gr.Info(_plain(error), title="Stopped", duration=4)  # a wish that was granted, not an error
        raise gr.Error(_plain(error), title="Stopped", visible=False, print_exception=False) from None
    except GLPNError as error:
        raise gr.Error(_plain(error), title="That didn't work", print_exception=False) from None
    except MemoryError:
        logger.warning("A handler of the page had no memory left")
        raise gr.Error(NO_MEMORY, title="That didn't work", print_exception=False) from None
    except OSError as error:
        if error.errno not in FULL:
            _log_and_tell()
        logger.warning("The disk is full")
        raise gr.Error(DISK_FULL, title="That didn't work", print_exception=False) from None
    except Exception:
        _log_and_tell()


def _log_and_tell() -> NoReturn:
    logger.exception("A handler of the page failed")
    raise gr.Error(OUR_FAULT, title="That didn't work", print_exception=False) from None


def guard_values(demo: gr.Blocks, uploads: Uploads) -> None:
    """Check every file that a client names for any event of `demo` before Gradio looks at it.

    Gradio moves, fetches or refuses files before a component's own `preprocess` is asked, in sentences of its own, and
    makes a component again, without what was added to it, when a handler changes one of its properties.
    """
    take = demo.preprocess_data

    async def checked(event: Any, inputs: list[Any], *rest: Any, **options: Any) -> Any:
        with plainly():
            inputs = with_defaults(event.inputs, inputs)
            if len(inputs) < len(event.inputs):
                raise GLPNError(f"This request has {len(inputs)} values; {len(event.inputs)} are needed.")
            for component, value in zip(event.inputs, inputs, strict=False):
                uploads.check_value(value, carries_file=carries_files(component))
        try:
            return await take(event, inputs, *rest, **options)
        except gr.Error:
            raise
        except (ValueError, TypeError) as error:  # what Gradio and pydantic make of a value that is not the input's
            logger.info("A value of a call was refused: %s", error, exc_info=True)
            raise gr.Error(NOT_A_VALUE, title="That didn't work", print_exception=False) from None

    demo.preprocess_data = checked


def forget_files(demo: gr.Blocks) -> None:
    """Empty the lists of files that Gradio keeps for its own cleaning, which is off, and would keep for ever."""
    for noted in demo.temp_file_sets:
        noted.clear()
    statuses = file_upload_statuses
    for upload in [upload for upload, status in list(statuses._statuses.items()) if status.is_done]:
        statuses.stop_tracking(upload)
        statuses._signals.pop(upload, None)


def with_defaults(components: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Return a client's values, with defaults for those left out and bare paths in the form of Gradio's."""
    all_values = [*values, *(getattr(component, "value", None) for component in components[len(values) :])]
    return [
        {"path": value, "meta": {"_type": "gradio.FileData"}}
        if isinstance(value, str) and carries_files(component)
        else value
        for component, value in zip(components, all_values, strict=False)
    ]


def carries_files(component: Any) -> bool:
    """Whether a value of `component` may name a file, whatever kind of component it is."""
    model = getattr(component, "data_model", None)
    return model is not None and _names_a_path(model)


@functools.cache
def _names_a_path(model: Any) -> bool:
    return "path" in str(model.model_json_schema())


def _plain(error: Exception) -> str:
    """Return the error's sentence as Gradio, which reads HTML, shows it; backticks become quotes."""
    return re.sub(r"`([^`]*)`", r"“\1”", escape(str(error), quote=False))


def plain_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a handler, or a generator of one, with `plainly`, and mark it as `is_guarded`."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def guarded_generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with plainly():
                yield from handler(*args, **kwargs)

        guarded_generator.is_guarded = True  # type: ignore[attr-defined]
        return guarded_generator

    @functools.wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with plainly():
            return handler(*args, **kwargs)

    guarded.is_guarded = True  # type: ignore[attr-defined]
    return guarded
