"""Which variables of the environment child processes get: patterns of names, for each kind of child.

A child gets what it needs to work and no more, since its environment can be read by other processes of its user, and
is printed by tools for diagnosis. Reading the environment is the task of `settings.environment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

BASIC = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "XDG_*",
    "LD_LIBRARY_PATH", "DYLD_*", "VIRTUAL_ENV", "PYTHON*",
)  # fmt: skip
"""For every program: where files and libraries are, language and time zone, and Python's own."""

STORES = (
    "AWS_*", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
)  # fmt: skip
"""For processes that read and write objects: credentials of AWS, certificates and proxies."""

SPARK = (
    "JAVA_*", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "SPARK_*", "PYSPARK_*", "_PYSPARK_*", "HADOOP_*", "YARN_*",
    "KUBERNETES_*", "KUBECONFIG", "KRB5*", "MALLOC_*", "OMP_*", "ARROW_*",
)  # fmt: skip
"""For Spark: Java, and the configuration of Spark and its cluster."""

LAKE = (
    "LAKE_*", "DAGSTER_*", "PG*", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR",
)  # fmt: skip
"""For processes that open the lake and its ledger: settings, Dagster's own, libpq's own, and the terminal."""

OF_SPARK = (*BASIC, *STORES, *SPARK)
OF_LAKE = (*BASIC, *STORES, *SPARK, *LAKE)


def selected(variables: Mapping[str, str], patterns: tuple[str, ...]) -> dict[str, str]:
    """The variables whose name matches one of `patterns`."""
    return {name: value for name, value in variables.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
