"""Everything that can go wrong for a reason the user can act on.

    GLPNError
    ├── ConfigError               a config or setting has a value that can't be
    ├── PhotoError                the photo can't be used
    │   ├── PhotoNotFound         no such file
    │   ├── PhotoUnreadable       not an image, truncated, empty, or not a number anywhere
    │   └── PhotoTooLarge         more pixels than the stated limit
    ├── CameraError               intrinsics that no camera has, or a file of them that can't be read
    ├── ExportError               a file can't be written or read back
    ├── CheckpointError           weights don't fit the network, or the file isn't what it should be
    │   └── UnsafeCheckpoint      the file would run code when opened
    ├── ZooError
    │   ├── ManifestError         weights_manifest.json breaks its schema
    │   ├── UnknownModel          no variant, repository or folder of that name
    │   └── VariantNotTrained     nobody has published these weights
    ├── HubError                  a file can't be had from the Hub
    │   ├── HubOffline            no route, time-out, or offline mode, and the file is not cached
    │   ├── HubNotFound           no such repository, file or revision
    │   ├── HubDenied             gated or private
    │   ├── HubBusy               too many requests, or the Hub is failing
    │   ├── HubCorrupt            the file is truncated or its digest is wrong
    │   └── HubStorage            the cache folder is full or can't be written
    ├── TrainingError             training or evaluation can't go on
    │   └── DataError             a data set, pair or list file can't be used
    └── Cancelled                 the user asked to stop

A message names what was given, what was expected and what to do. `GLPNError` is the only class that a front end has to
know: it shows `str(error)`.
"""


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


class CameraError(GLPNError, ValueError):
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
