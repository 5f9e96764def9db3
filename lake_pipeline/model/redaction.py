"""Removal of credentials from texts that are shown: URLs, messages of drivers, values of settings.

`shown_database_url` and `shown_webhook` are for URLs of a known kind: they keep only what is known to be harmless.
`without_credentials` is for texts of other programs: it removes what looks like a credential. Nothing here decides
where a text goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

MASK = "***"

_SECRET = re.compile(
    r"pass|pwd|secret|token|signature|credential|sslkey|^(?:key|sig|auth)$|authorization|"
    r"(?:api|access|account|private|shared|encryption|master)[_-]?key",
    re.IGNORECASE,
)
"""In names of parameters and variables."""

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*)://(?P<rest>[^\s'\"<>]+)", re.IGNORECASE)

_ASSIGNMENT = re.compile(
    r"(?P<quote>[\"']?)(?P<name>[\w.\-]*(?:password|passwd|passphrase|pwd|secret|token|signature|credential|sslkey|"
    r"api[_-]?key|access[_-]?key|private[_-]?key)[\w.\-]*)(?P=quote)(?P<sign>\s*=\s*|(?<=[\"'])\s*:\s*)"
    r"(?P<value>\"[^\"]*\"|'(?:[^'\\]|\\.)*'|[^\s&;,\"')}\]]+)",
    re.IGNORECASE,
)
"""`password=x` and `"password": "x"`."""

_KEY_LIKE = re.compile(
    r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|gh[a-z]_\w{20,}|xox[a-z]-[\w-]{10,})"
)
"""Access keys of AWS, JSON web tokens, tokens of GitHub and Slack."""

_RANDOM = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9+/=_\-]{20,}")
"""A text that may be a generated key: long, without spaces and dots, with letters of both cases and digits."""

_NAMES_OF_OBJECTS = frozenset({"s3", "s3a", "s3n", "file"})
"""Schemes whose paths may contain `@` and `:`. Only an access key has a colon before the first slash."""

_HARMLESS = frozenset(
    {
        "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname", "gssencmode", "host",
        "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts",
        "port", "require_auth", "sslcert", "sslcrl", "sslmode", "sslrootcert", "target_session_attrs",
        "tcp_user_timeout", "user",
    }
)  # fmt: skip
"""Parameters of PostgreSQL URLs whose values are shown."""


def shown_database_url(url: str) -> str:
    """The URL of a database without its password, and without values of parameters that may be secret."""
    return _URL.sub(lambda match: _masked(match, lambda name: name not in _HARMLESS), url)


def shown_webhook(url: str) -> str:
    """Scheme and host of a URL: the path and the query of a webhook are its password."""
    match = _URL.match(url)
    if match is None:
        return MASK
    host = re.split(r"[/?#]", match["rest"], maxsplit=1)[0].rpartition("@")[2]
    return f"{match['scheme']}://{host}/{MASK}"


def without_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without passwords and keys in URLs and assignments, without access keys, and without `secrets`."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL.sub(lambda match: _masked(match, lambda name: bool(_SECRET.search(name))), text)
    text = _ASSIGNMENT.sub(_masked_assignment, text)
    return _KEY_LIKE.sub(MASK, text)


def looks_like_credential(text: str) -> bool:
    """Whether `text` has, or may be, a credential, so that a message must not repeat it."""
    return without_credentials(text) != text or "@" in text.partition("://")[2] or bool(_RANDOM.fullmatch(text))


def is_web_address_with_path(text: str) -> bool:
    """Whether `text` has the form of a webhook."""
    return re.match(r"https?://[^/?#]*[/?#]+[^/?#]", text.strip(), re.IGNORECASE) is not None


def is_secret_name(name: str) -> bool:
    """Whether a parameter or a variable with this name holds a credential."""
    return bool(_SECRET.search(name))


def _masked(match: re.Match[str], is_secret: Callable[[str], bool]) -> str:
    scheme, rest = match["scheme"], match["rest"]
    address, question, query = rest.partition("?")
    if scheme.lower() not in _NAMES_OF_OBJECTS or ":" in address.partition("/")[0]:
        # The last @: a password may have one that is not escaped. It may have a question mark, too.
        if "@" in query and "@" not in address and ":" in address and not re.search(r"[&=]", query.partition("@")[0]):
            address, question, query = rest, "", ""
        address = _without_user_part(scheme, address)
    parameters = [_masked_parameter(part, is_secret) for part in query.split("&")]
    return f"{scheme}://{address}{question}{'&'.join(parameters)}"


def _without_user_part(scheme: str, address: str) -> str:
    user_part, at, host = address.rpartition("@")
    if not at:
        return address
    user, colon, _ = user_part.partition(":")
    if colon:
        return f"{user}:{MASK}@{host}"
    # A single text before the host of a web server is a token.
    return f"{MASK if scheme.lower().startswith('http') else user}@{host}"


def _masked_parameter(part: str, is_secret: Callable[[str], bool]) -> str:
    name, sign, value = part.partition("=")
    return f"{name}={MASK}" if sign and value and is_secret(name) else part


def _masked_assignment(match: re.Match[str]) -> str:
    quote, name, sign, value = match["quote"], match["name"], match["sign"], match["value"]
    mark = value[0] if value[0] in "\"'" else ""
    return f"{quote}{name}{quote}{sign}{mark}{MASK}{mark}"
