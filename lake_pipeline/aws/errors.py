"""Translation of AWS errors: each failure becomes an error of the lake that names target, cause and next step.

A refusal (access, credentials, a missing bucket) is a property of the target, not of the file that met it. It is
transient to the ledger, so a missing permission sends no file to quarantine.

Other packages catch SDK errors by the names exported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import ClientError as ClientError
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
OBJECT_DENIED = frozenset({"AccessDenied", "403"})
"""Refusals of one object (its owner, its key in KMS), or of all of them: only a probe of the bucket can say which."""

BUSY = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503"})
CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
CLOCK = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})

NOT_FOUND = frozenset({"NoSuchKey", "404", "NotFound"})
CHANGED = frozenset({"PreconditionFailed", "412"})


BROKEN_BODY = (HTTPClientError, ResponseStreamingError, HTTPError, OSError)
"""What reading the body of an answer raises if the connection breaks."""

BROKEN_ERROR_BODY = HTTPError
"""What a call raises if the body of an error answer breaks off: the only connection failure the SDK does not retry."""


def error_code(error: ClientError) -> str:
    """The service's error code, or the HTTP status if the answer has no body (HEAD)."""
    return str(error.response.get("Error", {}).get("Code") or http_status(error))


def http_status(error: ClientError) -> int:
    """The HTTP status of the answer; 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def service_code(error: LakeError) -> str | None:
    """The error code of the service that caused an error of `translate_errors`; None if no service answered."""
    return error_code(error.__cause__) if isinstance(error.__cause__, ClientError) else None


def refusal_message(error: LakeError, code: str) -> str | None:
    """The service's message if it caused `error` with the error code `code`, else None."""
    cause = error.__cause__
    if not isinstance(cause, ClientError) or error_code(cause) != code:
        return None
    return str(cause.response["Error"].get("Message", ""))


@contextmanager
def translate_errors(target: str, action: str) -> Iterator[None]:
    """Raises SDK errors of this block as errors of the lake.

    Messages read "{target}: can't {action}", so `action` is an infinitive: "read a/b.json".
    """
    try:
        yield
    except LakeError:
        raise
    except ClientError as error:
        raise translate_client_error(error, target, action) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StorageRefused(
            f"{target}: can't {action} without AWS credentials. Log in (`aws sso login`, `aws configure`), or give "
            "this machine a role."
        ) from error
    except RecursionError:
        # The SDK asks for the region of a redirected bucket, and follows the redirect of that request, and so on.
        raise StorageRefused(
            f"{target}: can't {action}, the server redirects every request. Check LAKE_S3_ENDPOINT_URL and "
            "LAKE_AWS_REGION."
        ) from None
    except (BotoConnectionError, HTTPClientError, HTTPError, ConnectionError, TimeoutError) as error:
        raise StorageUnavailable(f"{target}: no answer when trying to {action} ({_kind(error)}); try again.") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"{target}: could not {action} ({_kind(error)}); try again.") from error


def translate_client_error(error: ClientError, target: str, action: str) -> LakeError:
    """The error of the lake for an error answer of a service."""
    code = error_code(error)
    if code in EXPIRED:
        return StorageRefused(
            f"{target}: can't {action}, the AWS credentials have expired. Log in again (`aws sso login`), or check why "
            "the role of this machine is no longer renewed."
        )
    if code in UNKNOWN_CREDENTIALS:
        return StorageRefused(
            f"{target}: can't {action}, AWS does not know these credentials ({code}). Check AWS_PROFILE and "
            "AWS_ACCESS_KEY_ID, and whether they belong to this account."
        )
    if code in DENIED:
        return StorageRefused(
            f"{target}: can't {action}, access is denied. Compare the policy of this role with the one that "
            "`lake provision --policies` writes, and check the bucket policy for an explicit deny."
        )
    if code == "NoSuchBucket":
        return StorageRefused(
            f"{target}: can't {action}, the bucket does not exist. Check LAKE_ROOT, or create it with `lake provision`."
        )
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
        return StorageRefused(
            f"{target}: can't {action}, the bucket is in another region. Set LAKE_AWS_REGION to the bucket's region."
        )
    if code in BUSY:
        return StorageUnavailable(
            f"{target}: could not {action}, the service is throttling requests ({code}, after {_attempts(error)} "
            "attempts). It will be retried later; fewer LAKE_WORKERS send fewer requests."
        )
    if code in CONFLICT:
        return StorageUnavailable(
            f"{target}: could not {action}, another write to it is in progress ({code}); try again."
        )
    if code in CLOCK:
        return StorageRefused(f"{target}: can't {action}, the clock of this machine is off by more than 15 minutes.")
    return StorageUnavailable(f"{target}: could not {action}: {code}, HTTP {http_status(error)}.")


def _attempts(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1


def _kind(error: BaseException) -> str:
    """Only the class: the text of an SDK error may contain a signed URL."""
    return type(error).__name__
