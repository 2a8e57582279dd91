"""A photo that came just now, decoded once for its thumbnail and its estimate, which are asked for together."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future

from glpn.photo import Photo, Size, load_photo

MAX_SECONDS = 10.0  # for decoding


class Decoded:
    """Holds the photo that was last decoded for a thumbnail, until its estimate takes it or `forget` is called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[str, Future[Photo]] | None = None

    def leave(self, path: str, at_least: Callable[[Size], Size]) -> Photo:
        """Load a photo, and hold it for `take`. Raises as `load_photo` does."""
        coming: Future[Photo] = Future()
        with self._lock:
            self._held = path, coming
        try:
            photo = load_photo(path, at_least=at_least, seconds=MAX_SECONDS)
        except BaseException:
            coming.cancel()
            raise
        coming.set_result(photo)
        return photo

    def take(self, path: str, at_least: Callable[[Size], Size]) -> Photo | None:
        """Return the photo if it is held, or is being decoded, and is large enough; it is not held any more then."""
        with self._lock:
            if self._held is None or self._held[0] != path:
                return None
            coming, self._held = self._held[1], None
        try:
            photo = coming.result()
        except CancelledError:  # whoever asks says why it can't be decoded
            return None
        height, width = at_least(photo.size)
        return photo if photo.rgb.shape[0] >= height and photo.rgb.shape[1] >= width else None

    def forget(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._held = None
