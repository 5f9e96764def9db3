"""One function for each sink of text that may come from data: keys, modes, field names, values, error details.

A terminal or a log line (`lines`, `log_records`), JSON (`lines`), Markdown (`markdown`), a chat message (`chat`), SQL
(`sql`), a shell command that is shown to people (`shell`). What is printed, logged or sent where is decided by callers.
"""
