"""Every case and every set through the processor as a Glue run runs it: the rows, contract and accounts of one process.

One run converts all of them, one request after the other, in one Spark session: a session each would take seconds. And
one test looks at all of them, because tests of one module are spread over processes, and each of these would run it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lake_pipeline.convert.glue_run import Asked, Refused, answer_at, ask
from lake_pipeline.convert.request import ConversionReport, ConversionRequest
from lake_pipeline.provision.bundle import BUNDLE, PROCESSOR, bundle, modules
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.cases import Case, all_cases
from lake_pipeline_tests.conformance.test_cases import options_of
from lake_pipeline_tests.factories import BATCH, OPTIONS, Converted, LakeOnDisk
from lake_pipeline_tests.glue.conftest import run_to_its_end
from lake_pipeline_tests.parity import SETS, same

CASES = {case.name: case for case in all_cases()}
OF_A_SET = "set of files: "
NAMES = [*CASES, *(OF_A_SET + name for name in SETS)]

Answer = Converted | Refused | None

ONE_AFTER_THE_OTHER = """
import json, sys
import batch_processor
asked = json.load(open(sys.argv[sys.argv.index("--asked") + 1]))
for root, key in asked:
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
    """What the run answered for each, published."""
    lakes = {name: LakeOnDisk(folder / f"glue-{number}") for number, name in enumerate(NAMES)}
    raw, asked = {}, {}
    for name, lake in lakes.items():
        files, options = files_of(name)
        raw[name] = lake.put(files)
        request = ConversionRequest(batch_id=BATCH, files=raw[name], contract=None, options=replace(OPTIONS, **options))
        share_bytes = max(map(len, files.values())) // 3 + 1 if name not in CASES else None
        asked[name] = ask(lake.store, Asked(request=request, place=lake.store.place, share_bytes=share_bytes))
    _run(aws, [(lakes[name].store.uri, key) for name, key in asked.items()], folder)
    found: dict[str, Answer] = {}
    for name, lake in lakes.items():
        answer = answer_at(lake.store, asked[name])
        if not isinstance(answer, ConversionReport):
            found[name] = answer
            continue
        for pending in answer.manifest.objects:
            lake.store.publish(pending)
        assert lake.pending() == []
        found[name] = Converted(report=answer, store=lake.store, files=raw[name])
    return found


def _run(aws: AwsServer, asked: list[tuple[str, str]], folder: Path) -> None:
    """One Glue run that has the modules of a launched one, and nothing else of what this project needs."""
    bucket = aws.new_bucket()
    code = {**bundle(), "one_after_the_other.py": ONE_AFTER_THE_OTHER.encode()}
    for name, content in code.items():
        aws.client().put_object(Bucket=bucket, Key=name, Body=content)
    (folder / "asked.json").write_text(json.dumps(asked))
    glue = aws.client("glue")
    glue.create_job(
        Name=bucket,
        Role="arn:aws:iam::123456789012:role/lake-glue",
        Command={"Name": "glueetl", "ScriptLocation": f"s3://{bucket}/one_after_the_other.py"},
        DefaultArguments={
            "--extra-py-files": f"s3://{bucket}/{BUNDLE},s3://{bucket}/{PROCESSOR}",
            "--additional-python-modules": ",".join(modules()),
            "--asked": str(folder / "asked.json"),
        },
    )
    assert run_to_its_end(aws, bucket, {}) == "SUCCEEDED"


def test_a_run_makes_of_every_case_and_set_what_one_process_makes(aws: AwsServer, tmp_path: Path) -> None:
    for name, answer in answers(aws, tmp_path).items():
        print(name)  # shown where it fails
        assert isinstance(answer, Converted), answer
        files, options = files_of(name)
        same(answer, LakeOnDisk(tmp_path / f"alone-{NAMES.index(name)}").convert(files, **options))
