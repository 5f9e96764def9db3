"""A local AWS: a server on 127.0.0.1 for tests, for `make dev GLUE=local` and for `make bench-s3`.

    with aws_server() as aws:              # local_aws.server: starts the process, sets its credentials
        bucket = aws.new_bucket()
        aws.store(bucket)                  # a store of the pipeline
        with aws.faults(rate=0.1):         # break calls
            ...
        with aws.recorded() as calls:      # record calls
            ...

The server is moto with layers around it, from the outside in:

    request_log        counts calls by operation, bucket and credentials
    fault_injection    answers with errors, resets and truncates connections
    glue_jobs          Glue's job API; runs are processes (`glue_run`) that execute the job's script
    athena             paging, statistics and failures of Athena queries
    s3_conditions      conditional copies and deletes that moto ignores

`python -m local_aws` is the server process, `python -m local_aws.dev_glue` is `make dev GLUE=local`.

Needs the `dev` extra (moto). lake_pipeline does not import it, and it does not import the tests.
"""
