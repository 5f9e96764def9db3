"""One lake, one ledger: root and ledger share an identity, which every writer checks."""
