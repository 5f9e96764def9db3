"""The AWS Glue engine: starts, follows, stops and adopts job runs."""
