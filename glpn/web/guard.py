"""What a visitor sees when something goes wrong: one plain sentence, never a stack trace."""

import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr

from glpn.errors import Cancelled, GLPNError

logger = logging.getLogger(__name__)
OUR_FAULT = "Something went wrong here, not with your photo. It has been logged; please try again."


@contextmanager
def plainly() -> Iterator[None]:
    """Turn what is raised inside into a gr.Error of one escaped sentence; other errors than ours are logged whole."""
    try:
        yield
    except (gr.Error, GeneratorExit):
        raise
    except Cancelled as error:
        raise gr.Error(_plain(error), title="Stopped", duration=4, print_exception=False) from None
    except GLPNError as error:
        raise gr.Error(_plain(error), title="That didn't work", print_exception=False) from None
    except Exception:
        logger.exception("A handler of the page failed")
        raise gr.Error(OUR_FAULT, title="That didn't work", print_exception=False) from None


def _plain(error: Exception) -> str:
    """Return the error's sentence as Gradio, which reads HTML, shows it; backticks become quotes."""
    return re.sub(r"`([^`]*)`", r"“\1”", escape(str(error), quote=False))


def plain_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a handler, or a generator of one, with `plainly`."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def guarded_generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with plainly():
                yield from handler(*args, **kwargs)

        return guarded_generator

    @functools.wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with plainly():
            return handler(*args, **kwargs)

    return guarded
