-- Content that comes back: a key may have an ETag again that it had before another one.

-- How many times this content had come back under its key when it was registered.
ALTER TABLE file_processing_status ADD COLUMN times_back smallint NOT NULL DEFAULT 0 CHECK (times_back >= 0);

-- The identity of a raw file: a re-upload is another version, hence another row, also where its content is an old one.
ALTER TABLE file_processing_status
    DROP CONSTRAINT file_identity,
    ADD CONSTRAINT file_identity UNIQUE (s3_key, etag, times_back);
