"""Discovery: register new raw files, from listings and from S3 notifications."""
