"""The curated schema: columns, types, names, inference, evolution, and rescued values. No storage, no ledger."""
