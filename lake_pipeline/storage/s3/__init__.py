"""The object store on S3 and on S3-compatible services."""
