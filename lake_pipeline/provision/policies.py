"""Least-privilege IAM policies for the Dagster host, the Glue job, provisioning, and queries through Athena.

A test runs the pipeline against a server that records every call. Each call must be allowed and each statement used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lake_pipeline.provision.lake import Choices
from lake_pipeline.provision.queue import EventQueue
from lake_pipeline.storage import zones

LANDING = (f"{zones.HISTORY}*", "????/week*")
"""The landing zones as patterns of IAM."""

WRITTEN = (f"{zones.CURATED}*", f"{zones.QUARANTINE}*")

Policy = dict[str, Any]


def host_policy(choices: Choices) -> Policy:
    """For hosts that run Dagster or `lake` commands.

    `ReceiveEvents` is needed only with an event queue; the statements about Glue runs only with LAKE_ENGINE=glue.
    """
    return _policy(
        _statement(
            "ListBucket",
            # No condition on the prefix: HEAD of a missing object would then be answered with 403 instead of 404.
            ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"],
            [_bucket(choices)],
        ),
        _statement(
            "ReadAndArchiveRawFiles",
            [
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectTagging",
                "s3:GetObjectVersionTagging",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
            ],
            _keys(choices, LANDING),
        ),
        _statement(
            "WriteArchive",
            ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"],
            _keys(choices, [f"{zones.ARCHIVE}*"]),
        ),
        _statement(
            "WriteParquet",
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            _keys(choices, WRITTEN),
        ),
        _statement(
            "StoreSnapshots",
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            _keys(choices, [f"{zones.SNAPSHOTS}*"]),
        ),
        _statement("StoreCommits", ["s3:GetObject", "s3:PutObject"], _keys(choices, [f"{zones.COMMITS}*"])),
        _statement("ManageIdentity", ["s3:GetObject", "s3:PutObject"], _keys(choices, [zones.IDENTITY])),
        _statement("DeletePublishedFiles", ["s3:DeleteObject"], _keys(choices, WRITTEN)),
        _statement(
            "CopyPublishedFiles",
            ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"],
            _keys(choices, [f"{zones.CURATED}*"]),
        ),
        _statement(
            "ManageRetainedFiles",
            ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"],
            _keys(choices, [f"{zones.RETAINED}*"]),
        ),
        _statement(
            "ReceiveEvents",
            ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            [f"arn:aws:sqs:*:*:{_queue_name(choices)}"],
        ),
        _statement(
            "ExchangeGlueRequests",
            ["s3:GetObject", "s3:PutObject"],
            _keys(choices, [f"{zones.RUNS}*"]),
        ),
        _statement(
            "RunGlueJob",
            ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"],
            [f"arn:aws:glue:*:*:job/{choices.glue_job}"],
        ),
        _statement(
            "ReadGlueJobLogs",
            ["logs:GetLogEvents"],
            ["arn:aws:logs:*:*:log-group:/aws-glue/jobs/output:log-stream:*"],
        ),
        _catalog("UpdateCatalog", choices),
        *(
            [_statement("ReadLedgerSecret", ["secretsmanager:GetSecretValue"], [_secret(choices.ledger_secret)])]
            if choices.ledger_secret is not None
            else []
        ),
        *(
            # For every database: RDS identifies one by a resource id, which is not part of its address.
            [_statement("ConnectToLedger", ["rds-db:connect"], [f"arn:aws:rds-db:*:*:dbuser:*/{choices.ledger_user}"])]
            if choices.ledger_user is not None
            else []
        ),
        *(
            [_statement("PublishAlerts", ["sns:Publish"], [choices.alert_topic])]
            if choices.alert_topic is not None
            else []
        ),
    )


def glue_policy(choices: Choices) -> Policy:
    """For the Glue job: it reads raw files and writes pending objects. It can neither delete nor archive."""
    return _policy(
        _statement("ReadRawFiles", ["s3:GetObject"], _keys(choices, LANDING)),
        _statement("ReadIdentity", ["s3:GetObject"], _keys(choices, [zones.IDENTITY])),
        _statement("WriteParquet", ["s3:PutObject", "s3:AbortMultipartUpload"], _keys(choices, WRITTEN)),
        _statement("ExchangeGlueRequests", ["s3:GetObject", "s3:PutObject"], _keys(choices, [f"{zones.RUNS}*"])),
        _statement("ReadJobCode", ["s3:GetObject"], _keys(choices, [f"{zones.CODE}*"])),
        _statement(
            "WriteJobLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            ["arn:aws:logs:*:*:log-group:/aws-glue/*"],
        ),
    )


def provisioner_policy(choices: Choices) -> Policy:
    """For users who run `lake provision` with all its parts."""
    settings = ("EncryptionConfiguration", "BucketPublicAccessBlock", "BucketVersioning", "LifecycleConfiguration")
    return _policy(
        _statement(
            "ManageBucket",
            [
                "s3:CreateBucket",
                "s3:ListBucket",
                *(f"s3:{verb}{name}" for name in (*settings, "BucketNotification") for verb in ("Get", "Put")),
            ],
            [_bucket(choices)],
        ),
        _statement(
            "ManageQueues",
            ["sqs:CreateQueue", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes"],
            [
                f"arn:aws:sqs:*:*:{_queue_name(choices)}",
                f"arn:aws:sqs:*:*:{_queue_name(choices, dead_letter_queue=True)}",
            ],
        ),
        _catalog("ManageCatalog", choices),
        _statement("UploadJobCode", ["s3:GetObject", "s3:PutObject"], _keys(choices, [f"{zones.CODE}*"])),
        _statement(
            "ManageGlueJob",
            ["glue:GetJob", "glue:CreateJob", "glue:UpdateJob"],
            [f"arn:aws:glue:*:*:job/{choices.glue_job}"],
        ),
        *([_statement("PassGlueRole", ["iam:PassRole"], [choices.glue_role])] if choices.glue_role is not None else []),
    )


def athena_policy(choices: Choices) -> Policy:
    """For users who query through Athena, which acts with their permissions: published rows and nothing else.

    It allows no access to raw files, quarantine and retained files. Without LAKE_ATHENA_OUTPUT the workgroup configures
    the location of results, and the statements for it are omitted.
    """
    return _policy(
        _statement(
            "RunQueries",
            [
                "athena:StartQueryExecution",
                "athena:GetQueryExecution",
                "athena:GetQueryResults",
                "athena:StopQueryExecution",
            ],
            [f"arn:aws:athena:*:*:workgroup/{choices.athena_workgroup}"],
        ),
        # Athena reads the database `default` for every query.
        _statement(
            "ReadTableDefinition",
            ["glue:GetDatabase", "glue:GetTable"],
            [*_catalog_resources(choices), "arn:aws:glue:*:*:database/default"],
        ),
        _statement("LocateBucket", ["s3:GetBucketLocation"], [_bucket(choices)]),
        {
            **_statement("ListPublishedFiles", ["s3:ListBucket"], [_bucket(choices)]),
            "Condition": {"StringLike": {"s3:prefix": [f"{choices.location.prefix}{zones.CURATED}*"]}},
        },
        _statement("ReadPublishedFiles", ["s3:GetObject"], _keys(choices, [f"{zones.CURATED}*"])),
        *(_results(choices.athena_output) if choices.athena_output is not None else []),
    )


def _results(output: str) -> list[Policy]:
    """Statements for query results under `output`, which are multipart uploads."""
    bucket, _, folder = output.removeprefix("s3://").partition("/")
    prefix = f"{folder.rstrip('/')}/" if folder.strip("/") else ""
    return [
        _statement(
            "LocateResults",
            ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
            [f"arn:aws:s3:::{bucket}"],
        ),
        _statement(
            "WriteResults",
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            [f"arn:aws:s3:::{bucket}/{prefix}*"],
        ),
    ]


def policies(choices: Choices) -> dict[str, Policy]:
    """All policies by file name."""
    return {
        "dagster-host.json": host_policy(choices),
        "glue-job.json": glue_policy(choices),
        "provisioner.json": provisioner_policy(choices),
        "athena-reader.json": athena_policy(choices),
    }


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(sid: str, actions: Sequence[str], resources: Sequence[str]) -> Policy:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _catalog(sid: str, choices: Choices) -> Policy:
    """The statement for creating and updating database and table."""
    actions = ["glue:GetDatabase", "glue:CreateDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable"]
    return _statement(sid, actions, _catalog_resources(choices))


def _catalog_resources(choices: Choices) -> list[str]:
    return [
        "arn:aws:glue:*:*:catalog",
        f"arn:aws:glue:*:*:database/{choices.glue_database}",
        f"arn:aws:glue:*:*:table/{choices.glue_database}/{zones.CURATED_NAME}",
    ]


def _bucket(choices: Choices) -> str:
    return f"arn:aws:s3:::{choices.location.bucket}"


def _secret(secret: str) -> str:
    """The ARN of a secret is its name plus six random characters."""
    return secret if secret.startswith("arn:") else f"arn:aws:secretsmanager:*:*:secret:{secret}-??????"


def _keys(choices: Choices, patterns: Sequence[str]) -> list[str]:
    return [f"{_bucket(choices)}/{choices.location.prefix}{pattern}" for pattern in patterns]


def _queue_name(choices: Choices, *, dead_letter_queue: bool = False) -> str:
    queue = EventQueue(choices.location)
    return queue.dead_letter_queue.queue_name if dead_letter_queue else queue.queue_name
