"""Whether the Hub answers, asked in the background so that nobody waits for it."""

import logging
import threading
import time
from collections.abc import Callable

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

from .failures import FAILURES

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
AGAIN_AFTER_S = 300.0


def reachable(repo_id: str, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Ask the Hub for the headers of a repository's config.json; whether it answered within `timeout_s` seconds."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_hf_file_metadata(hf_hub_url(repo_id, constants.CONFIG_NAME), timeout=timeout_s)
    except FAILURES as error:
        logger.info("%s can't be reached: %s", repo_id, type(error).__name__)
        return False
    return True


class Probe:
    """The last answer of `ask`, renewed in the background every five minutes by those who look at it."""

    def __init__(self, ask: Callable[[], bool], *, again_after_s: float = AGAIN_AFTER_S) -> None:
        self._ask = ask
        self._again_after_s = again_after_s
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._answer: bool | None = None

    @property
    def answer(self) -> bool | None:
        """The last answer, None while there is none. Never waits."""
        with self._lock:
            now = time.monotonic()
            due = self._asked is None or now - self._asked > self._again_after_s
            if due:
                self._asked = now
        if due:
            threading.Thread(target=self._renew, name="glpn-probe", daemon=True).start()
        return self._answer

    def _renew(self) -> None:
        self._answer = self._ask()
