"""What goes wrong between here and the Hub, each as one sentence that says what to do."""

import errno
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from glpn.errors import HubBusy, HubCorrupt, HubDenied, HubError, HubNotFound, HubOffline, HubStorage, printable

# What huggingface_hub and the system raise: OSError covers the Hub's own errors and the disk's, ImportError and
# ValueError what httpx2 makes of the environment's proxies and of a token that is no header.
FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError, HFValidationError, ImportError, ValueError)
BAD_TOKEN = (
    "The token for the Hub holds a character that no token has, such as a typographic quote, a space or a line's end. "
    "Copy it again from https://huggingface.co/settings/tokens."
)
TOKEN_HINT = "pass a token: `hf auth login`, HF_TOKEN=…, or token=… in Python"


@dataclass(frozen=True)
class Wanted:
    """A file of a repository at `revision` (a commit hash, branch or pull request), and the Hub cache it belongs in."""

    repo_id: str
    name: str
    revision: str
    cache: Path

    def __str__(self) -> str:
        return f"{self.name} of {self.repo_id} at {self.revision[:12]}"


def translated(error: BaseException, wanted: Wanted) -> HubError:
    """Turn one of `FAILURES` into the `HubError` that says what to do, in one line and without secrets."""
    problem = _translated(error, wanted)
    return type(problem)(without_secrets(problem))


def _translated(error: BaseException, wanted: Wanted) -> HubError:
    repo = wanted.repo_id
    match error:
        case LocalEntryNotFoundError(__cause__=BaseException() as cause):
            return _translated(cause, wanted)
        case OfflineModeIsEnabled() | LocalEntryNotFoundError():
            return HubOffline(f"{wanted} is not cached, and HF_HUB_OFFLINE is set, so the Hub was not asked.")
        case HFValidationError():
            return HubNotFound(f"{repo!r} is not a repository name ({error}). Give 'owner/name'.")
        case HfHubHTTPError():
            return _of_response(error, wanted)
        case FileMetadataError():
            return HubOffline(
                f"{constants.ENDPOINT} answers, but not like the Hub ({error}). Check HF_ENDPOINT, the proxy, or the "
                "network's log-in page."
            )
        case UnicodeEncodeError() | httpx2.LocalProtocolError():
            return HubDenied(f"{BAD_TOKEN} It was needed for {wanted}.")
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return _of_transport(error, wanted)
        case ImportError():
            return HubOffline(f"A proxy of the environment needs a package that is missing: {error}. Install socksio.")
        case ValueError():
            return HubOffline(f"A proxy of the environment can't be used for {wanted}: {error}. Check HTTPS_PROXY.")
    return _of_system(error, wanted)


def without_secrets(error: object) -> str:
    """Return what `error` says in one line, without tokens, and without passwords of addresses."""
    text = re.sub(r"(?i)bearer\s+[^'\"\s]+", "Bearer …", str(error))
    text = re.sub(r"\bhf_\w+", "hf_…", text)
    return printable(re.sub(r"://[^/@\s]*@", "://…@", " ".join(text.split())), most=1000)


def _of_response(error: HfHubHTTPError, wanted: Wanted) -> HubError:
    repo = wanted.repo_id
    match error:
        case GatedRepoError():
            return HubDenied(f"{repo} is gated. Accept its terms at {constants.ENDPOINT}/{repo}, then {TOKEN_HINT}.")
        case RepositoryNotFoundError():
            return HubNotFound(
                f"The repository {repo} does not exist or is private. Check the name; if it is private, {TOKEN_HINT}."
            )
        case RevisionNotFoundError():
            return HubNotFound(
                f"{repo} has no revision {wanted.revision!r} (any more). Use '{repo}@main', or pin what is there now "
                "with `python -m glpn zoo lock`."
            )
        case RemoteEntryNotFoundError():
            return HubNotFound(f"{repo} has no file {wanted.name} at {wanted.revision}. Check name and revision.")
        case DisabledRepoError():
            return HubDenied(f"The Hub has disabled {repo}. Use another model.")
    return _of_status(error.response.status_code, wanted, seconds_to_wait(error))


def seconds_to_wait(error: BaseException) -> float:
    """Return for how long the Hub asks to be left alone, 0 where it names no time."""
    if not isinstance(error, HfHubHTTPError):
        return 0.0
    headers = error.response.headers
    after = headers.get("Retry-After", "")
    limit = parse_ratelimit_headers(headers)
    spent = limit.reset_in_seconds if limit and limit.remaining == 0 else 0
    return max(float(after) if after.isdecimal() else 0.0, float(spent))


def _of_status(status: int, wanted: Wanted, wait_s: float) -> HubError:
    if status in (401, 403):
        return HubDenied(
            f"The Hub refuses {wanted} ({status}): it is private, or the token is wrong. If you may read it, "
            f"{TOKEN_HINT}."
        )
    if status == 404:
        return HubNotFound(f"The Hub has no {wanted} (404). Check the name.")
    if status == 429:
        wait = f"{wait_s:.0f} s" if wait_s else "a few minutes"
        return HubBusy(f"The Hub has had too many requests from here (429) for {wanted}. Wait {wait}.")
    if status >= 500:
        return HubBusy(f"The Hub is failing ({status}) for {wanted}. See https://status.huggingface.co and try again.")
    return HubError(f"The Hub answered {status} for {wanted}. Try again, and report it if it stays.")


def _of_transport(error: Exception, wanted: Wanted) -> HubError:
    if _is_tls(error):
        return HubOffline(
            f"No secure connection to {constants.ENDPOINT} for {wanted} (TLS: {_plain(error)}). Check the machine's "
            "clock and certificates; behind an inspecting proxy, set SSL_CERT_FILE."
        )
    if isinstance(error, httpx2.ProxyError):
        return HubOffline(f"The proxy failed for {wanted} ({_plain(error)}). Check HTTPS_PROXY.")
    if isinstance(error, httpx2.TimeoutException):
        return HubOffline(f"{constants.ENDPOINT} did not answer in time for {wanted}. Check the network and try again.")
    if isinstance(error, httpx2.ConnectError):
        return HubOffline(f"No route to {constants.ENDPOINT} for {wanted} ({_plain(error)}). Check the network.")
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return HubOffline(f"{constants.ENDPOINT!r} is not a valid address ({error}). Check HF_ENDPOINT.")
    return HubCorrupt(f"The connection broke before {wanted} was whole ({_plain(error)}). Nothing was kept; try again.")


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _plain(error: BaseException) -> str:
    """Return the reason in words: without the system's number, and without the path that its sentence names already."""
    reason = error.strerror if isinstance(error, OSError) else None
    return re.sub(r"\[Errno -?\d+\] *", "", reason or str(error)).rstrip(". ") or type(error).__name__


def _of_system(error: BaseException, wanted: Wanted) -> HubError:
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return HubStorage(
            f"The disk of {wanted.cache} is full: {wanted} did not fit. Free some space, or point HF_HOME elsewhere."
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HubStorage(
            f"The cache folder {wanted.cache} can't be written ({_plain(error)}). Fix its permissions, or point "
            "HF_HOME elsewhere."
        )
    if "Consistency check failed" in str(error):
        return HubCorrupt(f"{wanted} came incomplete. {str(error).splitlines()[0]} Nothing was kept; try again.")
    return HubStorage(f"{wanted} can't be stored in {wanted.cache}: {_plain(error)}.")
