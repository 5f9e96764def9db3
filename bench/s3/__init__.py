"""`make bench-s3`: the lake in a bucket against a bare loop of the same requests, over the loopback interface."""
