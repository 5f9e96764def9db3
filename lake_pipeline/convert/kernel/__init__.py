"""The conversion itself: blocks of records to rows and quarantined records, and the outcome of each file."""
