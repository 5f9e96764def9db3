"""`make dev GLUE=local`: the Dagster UI with a lake in a bucket and conversion by a Glue job, all on this machine.

AWS is a local server that executes the script of the Glue job. Bucket and ledger are temporary and removed at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lake_pipeline.demo_data import ensure_landing_zone
from local_aws.server import REGION, AwsServer, aws_server

LAKE = str(Path(sys.executable).parent / "lake")

SERVICES = ("GLUE", "CLOUDWATCH_LOGS", "SQS")


def main() -> int:
    with aws_server() as aws, tempfile.TemporaryDirectory(prefix="dev-glue-") as folder:
        bucket = _bucket_with_files(aws, Path(folder))
        environment = {**os.environ, **_settings(aws, bucket, Path(folder) / "home")}
        print(f"Landing zone: s3://{bucket} at {aws.endpoint}. A Glue run takes about a minute.", flush=True)
        subprocess.run([LAKE, "provision", "--only", "glue"], env=environment, check=True, stdout=subprocess.DEVNULL)
        dev = subprocess.Popen([LAKE, "dev", *sys.argv[1:]], env=environment)
        while True:
            try:
                return dev.wait()
            except KeyboardInterrupt:
                continue  # `lake dev` gets the same Ctrl-C, and needs AWS until it has ended


def _bucket_with_files(aws: AwsServer, folder: Path) -> str:
    """A new bucket with the landing zone of the demo."""
    ensure_landing_zone(folder / "lake", folder / "zone")
    bucket = aws.new_bucket()
    for path in (folder / "lake").rglob("*"):
        if path.is_file():
            key = path.relative_to(folder / "lake").as_posix()
            aws.client().put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return bucket


def _settings(aws: AwsServer, bucket: str, home: Path) -> dict[str, str]:
    return {
        **{f"AWS_ENDPOINT_URL_{service}": aws.endpoint for service in SERVICES},
        "LAKE_ROOT": f"s3://{bucket}",
        "LAKE_S3_ENDPOINT_URL": aws.endpoint,
        "LAKE_AWS_REGION": REGION,
        "LAKE_HOME": str(home),
        "LAKE_ENGINE": "glue",
        "LAKE_GLUE_ROLE": "arn:aws:iam::123456789012:role/local",
        "LAKE_BATCH_BYTES": "100MB",
    }


if __name__ == "__main__":
    sys.exit(main())
