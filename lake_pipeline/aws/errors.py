"""What a failure of AWS is called here: an error of the lake that says what is wrong, where, and what to do next.

Refusals (access, credentials, a missing bucket) are errors of the place, not of the file that met them: they are
transient to the ledger, so that no file goes to quarantine because somebody forgot a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError

from lake_pipeline.errors import LakeError, StorageRefused, StorageUnavailable

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
UNKNOWN_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidToken",
    }
)
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation", "AccountProblem", "403"}
)
BUSY = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503"})
CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
CLOCK = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})

NOT_FOUND = frozenset({"NoSuchKey", "404", "NotFound"})
CHANGED = frozenset({"PreconditionFailed", "412"})


def code_of(error: ClientError) -> str:
    """The service's own code for a failure; the HTTP status where the answer had no body, as for HEAD."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: ClientError) -> int:
    """The HTTP status of the answer; 0 where there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def refusal(error: LakeError, code: str) -> str | None:
    """What the service said where it refused with `code`, behind an error of `translated`; None for any other."""
    cause = error.__cause__
    if not isinstance(cause, ClientError) or code_of(cause) != code:
        return None
    return str(cause.response["Error"].get("Message", ""))


@contextmanager
def translated(place: str, what: str) -> Iterator[None]:
    """Whatever the SDK raises in this block as an error of the lake. `what` says what was tried: "read a/b.json"."""
    try:
        yield
    except LakeError:
        raise
    except ClientError as error:
        raise of_client_error(error, place, what) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StorageRefused(
            f"{place}: can't {what} without AWS credentials. Log in (`aws sso login`, `aws configure`), or give this "
            "machine a role."
        ) from error
    except (BotoConnectionError, HTTPClientError, HTTPError, ConnectionError, TimeoutError) as error:
        raise StorageUnavailable(f"{place}: no answer when trying to {what} ({_kind(error)}); try again.") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"{place}: could not {what} ({_kind(error)}); try again.") from error


def of_client_error(error: ClientError, place: str, what: str) -> LakeError:
    """The error of the lake for an answer that is a refusal or a failure."""
    code = code_of(error)
    if code in EXPIRED:
        return StorageRefused(
            f"{place}: can't {what}, the AWS credentials have expired. Log in again (`aws sso login`), or look why "
            "the role of this machine is no longer renewed."
        )
    if code in UNKNOWN_CREDENTIALS:
        return StorageRefused(
            f"{place}: can't {what}, AWS does not know these credentials ({code}). Look at AWS_PROFILE and "
            "AWS_ACCESS_KEY_ID, and whether they belong to this account."
        )
    if code in DENIED:
        return StorageRefused(
            f"{place}: can't {what}, access is denied. Compare the policy of this role with the one that "
            "`lake provision --policies` writes, and look for an explicit deny in the bucket policy."
        )
    if code == "NoSuchBucket":
        return StorageRefused(
            f"{place}: can't {what}, there is no such bucket. Look at LAKE_ROOT, or make it with `lake provision`."
        )
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
        return StorageRefused(
            f"{place}: can't {what}, the bucket is in another region. Set LAKE_AWS_REGION to its own."
        )
    if code in BUSY:
        return StorageUnavailable(
            f"{place}: could not {what}, the service asks to slow down ({code}) and did so after {_attempts(error)} "
            "attempts. It is tried again later; with fewer LAKE_WORKERS it may not come to this."
        )
    if code in CONFLICT:
        return StorageUnavailable(f"{place}: could not {what}, another write to it was under way ({code}); try again.")
    if code in CLOCK:
        return StorageRefused(f"{place}: can't {what}, the clock of this machine is wrong by more than 15 minutes.")
    return StorageUnavailable(f"{place}: could not {what}: {code}, HTTP {status_of(error)}.")


def _attempts(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1


def _kind(error: BaseException) -> str:
    """The kind alone: the text of an SDK error may hold a signed address."""
    return type(error).__name__
