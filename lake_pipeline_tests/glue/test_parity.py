"""Every case and every set through the script, in a Glue run: the same rows, contract and counts as in one process.

One run converts all of them, one request after the other, in one Spark session: separate sessions would take seconds
each. One test checks all of them, because tests of one module are distributed over processes, and each would repeat the
run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lake_pipeline.convert.request import ConversionReport, ConversionRequest
from lake_pipeline.engines.glue.protocol import RunError, RunRequest, read_answer, write_request
from lake_pipeline.provision.bundle import BUNDLE, PROCESSOR, bundle, modules
from lake_pipeline_tests.cases import Case, all_cases, options_of
from lake_pipeline_tests.glue.conftest import run_to_its_end
from lake_pipeline_tests.support.factories import BATCH, OPTIONS, Converted, LakeOnDisk
from lake_pipeline_tests.support.parity import SETS, same
from local_aws.server import AwsServer

CASES = {case.name: case for case in all_cases()}
OF_A_SET = "set of files: "
NAMES = [*CASES, *(OF_A_SET + name for name in SETS)]

Answer = Converted | RunError | None

SEQUENTIAL_SCRIPT = """
import json, sys
import batch_processor
requests = json.load(open(sys.argv[sys.argv.index("--requests") + 1]))
for root, key in requests:
    try:
        batch_processor.main(["--lake_root", root, "--request", key])
    except Exception as error:
        print("ended with", type(error).__name__)
"""


def files_of(name: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of a case or a set, and their options."""
    if name in CASES:
        case: Case = CASES[name]
        return case.files, options_of(case)
    return SETS[name.removeprefix(OF_A_SET)](), {"max_bad_share": 0.2}


def answers(aws: AwsServer, folder: Path) -> dict[str, Answer]:
    """The published result of the run for each."""
    lakes = {name: LakeOnDisk(folder / f"glue-{number}") for number, name in enumerate(NAMES)}
    raw, request_keys = {}, {}
    for name, lake in lakes.items():
        files, options = files_of(name)
        raw[name] = lake.put(files)
        request = ConversionRequest(batch_id=BATCH, files=raw[name], contract=None, options=replace(OPTIONS, **options))
        shard_bytes = max(map(len, files.values())) // 3 + 1 if name not in CASES else None
        request_keys[name] = write_request(
            lake.store, RunRequest(request=request, location=lake.store.location, shard_bytes=shard_bytes)
        )
    _run(aws, [(lakes[name].store.uri, key) for name, key in request_keys.items()], folder)
    results: dict[str, Answer] = {}
    for name, lake in lakes.items():
        answer = read_answer(lake.store, request_keys[name])
        if not isinstance(answer, ConversionReport):
            results[name] = answer
            continue
        for pending in answer.manifest.objects:
            lake.store.publish(pending)
        assert lake.pending() == []
        results[name] = Converted(report=answer, store=lake.store, files=raw[name])
    return results


def _run(aws: AwsServer, requests: list[tuple[str, str]], folder: Path) -> None:
    """One Glue run with the modules of a normal one and no other packages of this project."""
    bucket = aws.new_bucket()
    code = {**bundle(), "sequential.py": SEQUENTIAL_SCRIPT.encode()}
    for name, content in code.items():
        aws.client().put_object(Bucket=bucket, Key=name, Body=content)
    (folder / "requests.json").write_text(json.dumps(requests))
    glue = aws.client("glue")
    glue.create_job(
        Name=bucket,
        Role="arn:aws:iam::123456789012:role/lake-glue",
        Command={"Name": "glueetl", "ScriptLocation": f"s3://{bucket}/sequential.py"},
        DefaultArguments={
            "--extra-py-files": f"s3://{bucket}/{BUNDLE},s3://{bucket}/{PROCESSOR}",
            "--additional-python-modules": ",".join(modules()),
            "--requests": str(folder / "requests.json"),
        },
    )
    assert run_to_its_end(aws, bucket, {}) == "SUCCEEDED"


def test_a_run_converts_every_case_and_set_like_one_process(aws: AwsServer, tmp_path: Path) -> None:
    for name, answer in answers(aws, tmp_path).items():
        print(name)  # shown if it fails
        assert isinstance(answer, Converted), answer
        files, options = files_of(name)
        same(answer, LakeOnDisk(tmp_path / f"single-{NAMES.index(name)}").convert(files, **options))
