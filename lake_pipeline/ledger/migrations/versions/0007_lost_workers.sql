-- Files that workers were lost with, told apart from files that were tried in vain.

-- Workers that were killed or lost their lease with this file, since it last came to an end of its own.
ALTER TABLE file_processing_status ADD COLUMN workers_lost smallint NOT NULL DEFAULT 0 CHECK (workers_lost >= 0);
