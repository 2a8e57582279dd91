"""Everything that can go wrong for a reason the user can act on.

    GLPNError
    ├── ConfigError               a config or setting has an invalid value
    ├── PhotoError                the photo can't be used
    │   ├── PhotoNotFound         no such file
    │   ├── PhotoUnreadable       not an image, cut short, empty, of an unknown format, or too slow to decode
    │   └── PhotoTooLarge         more pixels, or more memory to decode, than the limit
    ├── VideoError                a clip can't be used
    ├── CameraError               invalid intrinsics, or a file of them that can't be read
    ├── FloorNotFound             no floor can be seen in a depth map
    ├── ExportError               a file can't be written or read back
    ├── CheckpointError           weights don't fit the network, or the file isn't what it should be
    │   └── UnsafeCheckpoint      the file would run code when opened
    ├── ZooError
    │   ├── ManifestError         weights_manifest.json breaks its schema
    │   ├── UnknownModel          no variant, repository or folder of that name
    │   └── VariantNotTrained     nobody has published these weights
    ├── HubError                  a file could not be downloaded
    │   ├── HubOffline            no route, time-out, or offline mode, and the file is not cached
    │   ├── HubNotFound           no such repository, file or revision
    │   ├── HubDenied             gated or private
    │   ├── HubBusy               too many requests, or the Hub is failing
    │   ├── HubCorrupt            the file is truncated or its digest is wrong
    │   └── HubStorage            the cache folder is full or can't be written
    ├── TrainingError             training or evaluation can't continue
    │   └── DataError             a data set, pair or list file can't be used
    └── Cancelled                 the user asked to stop

A message names what was given, what was expected and what to do. `GLPNError` is the only class that a front end has to
know: it shows `str(error)`. Whatever comes from a file or a name goes into a message through `printable`.
"""


def printable(text: object, most: int = 200) -> str:
    """Return `text` for a message: control characters escaped, and shortened to `most` characters."""
    clean = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text)[: most + 1])
    return clean if len(clean) <= most else clean[: most - 1] + "…"


class GLPNError(Exception):
    """Base of all errors that carry one plain sentence for the user."""


class ConfigError(GLPNError, ValueError):
    pass


class PhotoError(GLPNError, ValueError):
    pass


class PhotoNotFound(PhotoError):
    pass


class PhotoUnreadable(PhotoError):
    pass


class PhotoTooLarge(PhotoError):
    pass


class VideoError(GLPNError, ValueError):
    pass


class CameraError(GLPNError, ValueError):
    pass


class FloorNotFound(GLPNError):
    pass


class ExportError(GLPNError):
    pass


class CheckpointError(GLPNError):
    pass


class UnsafeCheckpoint(CheckpointError):
    pass


class ZooError(GLPNError):
    pass


class ManifestError(ZooError):
    pass


class UnknownModel(ZooError, LookupError):
    pass


class VariantNotTrained(ZooError):
    pass


class HubError(GLPNError):
    pass


class HubOffline(HubError):
    pass


class HubNotFound(HubError):
    pass


class HubDenied(HubError):
    pass


class HubBusy(HubError):
    pass


class HubCorrupt(HubError):
    pass


class HubStorage(HubError):
    pass


class TrainingError(GLPNError):
    pass


class DataError(TrainingError):
    pass


class Cancelled(GLPNError):
    pass
