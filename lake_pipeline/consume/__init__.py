"""What readers of the lake use. In this version: SQL over the published files. Nothing here writes to the lake."""
