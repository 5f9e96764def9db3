"""IAM policies with the least that each role needs: the Dagster host, the Glue job, who provisions and who queries.

A test runs the pipeline against a server that records every call: each call must be allowed, and each statement used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lake_pipeline.provision.lake import Choices
from lake_pipeline.provision.queue import EventQueue
from lake_pipeline.storage import zones

LANDING = (f"{zones.HISTORY}*", "????/week*")
"""The landing zones as IAM can say it."""

WRITTEN = (f"{zones.CURATED}*", f"{zones.QUARANTINE}*")

Policy = dict[str, Any]


def host_policy(choices: Choices) -> Policy:
    """For whatever runs Dagster or the `lake` commands.

    The part of Events is needed with an event queue only, the last ones with LAKE_ENGINE=glue.
    """
    return _policy(
        _statement(
            "FindObjects",
            # Without a condition on the prefix: a HEAD of what is not there would be denied instead of answered.
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
            "KeepTheArchive",
            ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"],
            _keys(choices, [f"{zones.ARCHIVE}*"]),
        ),
        _statement(
            "WriteParquet",
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            _keys(choices, WRITTEN),
        ),
        _statement("TakeRowsOut", ["s3:DeleteObject"], _keys(choices, WRITTEN)),
        _statement(
            "CopyWhatSnapshotsHold",
            ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"],
            _keys(choices, [f"{zones.CURATED}*"]),
        ),
        _statement(
            "KeepWhatSnapshotsHold",
            ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"],
            _keys(choices, [f"{zones.RETAINED}*"]),
        ),
        _statement(
            "Events",
            ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            [f"arn:aws:sqs:*:*:{_queue_name(choices)}"],
        ),
        _statement(
            "AskGlueRuns",
            ["s3:GetObject", "s3:PutObject"],
            _keys(choices, [f"{zones.RUNS}*"]),
        ),
        _statement(
            "RunTheJob",
            ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"],
            [f"arn:aws:glue:*:*:job/{choices.glue_job}"],
        ),
        _statement(
            "ReadTheLogOfTheJob",
            ["logs:GetLogEvents"],
            ["arn:aws:logs:*:*:log-group:/aws-glue/jobs/output:log-stream:*"],
        ),
        _catalog("KeepTheCatalog", choices),
        *(
            [_statement("ReadTheLedgersSecret", ["secretsmanager:GetSecretValue"], [_secret(choices.ledger_secret)])]
            if choices.ledger_secret is not None
            else []
        ),
        *(
            # Whose database it is only AWS knows: RDS gives each a resource id, which is no part of its address.
            [
                _statement(
                    "SignInToTheLedger", ["rds-db:connect"], [f"arn:aws:rds-db:*:*:dbuser:*/{choices.ledger_user}"]
                )
            ]
            if choices.ledger_user is not None
            else []
        ),
        *(
            [_statement("TellOfTroubles", ["sns:Publish"], [choices.alert_topic])]
            if choices.alert_topic is not None
            else []
        ),
    )


def glue_policy(choices: Choices) -> Policy:
    """For the Glue job: it reads raw files and writes what nobody sees yet. It can neither delete nor archive."""
    return _policy(
        _statement("ReadRawFiles", ["s3:GetObject"], _keys(choices, LANDING)),
        _statement("WriteParquet", ["s3:PutObject", "s3:AbortMultipartUpload"], _keys(choices, WRITTEN)),
        _statement("AnswerTheHost", ["s3:GetObject", "s3:PutObject"], _keys(choices, [f"{zones.RUNS}*"])),
        _statement("ReadItsCode", ["s3:GetObject"], _keys(choices, [f"{zones.CODE}*"])),
        _statement(
            "WriteItsLog",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            ["arn:aws:logs:*:*:log-group:/aws-glue/*"],
        ),
    )


def provisioner_policy(choices: Choices) -> Policy:
    """For whoever runs `lake provision`, with all parts of it."""
    settings = ("EncryptionConfiguration", "BucketPublicAccessBlock", "BucketVersioning", "LifecycleConfiguration")
    return _policy(
        _statement(
            "SetUpTheBucket",
            [
                "s3:CreateBucket",
                "s3:ListBucket",
                *(f"s3:{verb}{name}" for name in (*settings, "BucketNotification") for verb in ("Get", "Put")),
            ],
            [_bucket(choices)],
        ),
        _statement(
            "SetUpTheQueues",
            ["sqs:CreateQueue", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes"],
            [f"arn:aws:sqs:*:*:{_queue_name(choices)}", f"arn:aws:sqs:*:*:{_queue_name(choices, refused=True)}"],
        ),
        _catalog("SetUpTheCatalog", choices),
        _statement("UploadTheCode", ["s3:GetObject", "s3:PutObject"], _keys(choices, [f"{zones.CODE}*"])),
        _statement(
            "SetUpTheJob",
            ["glue:GetJob", "glue:CreateJob", "glue:UpdateJob"],
            [f"arn:aws:glue:*:*:job/{choices.glue_job}"],
        ),
        *(
            [_statement("GiveTheJobItsRole", ["iam:PassRole"], [choices.glue_role])]
            if choices.glue_role is not None
            else []
        ),
    )


def athena_policy(choices: Choices) -> Policy:
    """For whoever queries through Athena, which finds, reads and writes in their name: published rows and no more.

    Raw files, quarantine and what snapshots retain stay closed. Without LAKE_ATHENA_OUTPUT the place of the results is
    the workgroup's, and its part is left out.
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
        # Athena looks at the database `default`, too, whatever is queried.
        _statement(
            "FindTheTable",
            ["glue:GetDatabase", "glue:GetTable"],
            [*_catalog_resources(choices), "arn:aws:glue:*:*:database/default"],
        ),
        _statement("FindTheBucket", ["s3:GetBucketLocation"], [_bucket(choices)]),
        {
            **_statement("FindPublishedFiles", ["s3:ListBucket"], [_bucket(choices)]),
            "Condition": {"StringLike": {"s3:prefix": [f"{choices.place.prefix}{zones.CURATED}*"]}},
        },
        _statement("ReadPublishedFiles", ["s3:GetObject"], _keys(choices, [f"{zones.CURATED}*"])),
        *(_results(choices.athena_output) if choices.athena_output is not None else []),
    )


def _results(output: str) -> list[Policy]:
    """What keeping results under `output` takes; they are written in parts."""
    bucket, _, folder = output.removeprefix("s3://").partition("/")
    prefix = f"{folder.rstrip('/')}/" if folder.strip("/") else ""
    return [
        _statement(
            "FindThePlaceOfResults",
            ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
            [f"arn:aws:s3:::{bucket}"],
        ),
        _statement(
            "KeepResults",
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            [f"arn:aws:s3:::{bucket}/{prefix}*"],
        ),
    ]


def policies(choices: Choices) -> dict[str, Policy]:
    """All of them, by the name of the file they are written to."""
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
    """What keeping database and table up to date takes."""
    actions = ["glue:GetDatabase", "glue:CreateDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable"]
    return _statement(sid, actions, _catalog_resources(choices))


def _catalog_resources(choices: Choices) -> list[str]:
    return [
        "arn:aws:glue:*:*:catalog",
        f"arn:aws:glue:*:*:database/{choices.glue_database}",
        f"arn:aws:glue:*:*:table/{choices.glue_database}/{zones.CURATED_NAME}",
    ]


def _bucket(choices: Choices) -> str:
    return f"arn:aws:s3:::{choices.place.bucket}"


def _secret(secret: str) -> str:
    """A secret has six more characters at the end of its ARN than in its name."""
    return secret if secret.startswith("arn:") else f"arn:aws:secretsmanager:*:*:secret:{secret}-??????"


def _keys(choices: Choices, patterns: Sequence[str]) -> list[str]:
    return [f"{_bucket(choices)}/{choices.place.prefix}{pattern}" for pattern in patterns]


def _queue_name(choices: Choices, *, refused: bool = False) -> str:
    queue = EventQueue(choices.place)
    return queue.refused.queue_name if refused else queue.queue_name
