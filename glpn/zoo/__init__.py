"""The model zoo: from a name to a verified checkpoint.

`manifest` reads the list of variants, `locate` turns a name, a repository or a folder into files (and asks the Hub for
them), `lock` writes measured digests into the list, `add` writes rows.
"""

from .manifest import (
    DEFAULT,
    MANIFEST,
    PACKAGE,
    ModelSpec,
    Source,
    SourceFile,
    Zoo,
    parse_manifest,
    read_manifest,
    users_manifest,
)

__all__ = [
    "DEFAULT",
    "MANIFEST",
    "PACKAGE",
    "ModelSpec",
    "Source",
    "SourceFile",
    "Zoo",
    "parse_manifest",
    "read_manifest",
    "users_manifest",
]
