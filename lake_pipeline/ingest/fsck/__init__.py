"""`lake fsck`: what stands in the store compared with what the ledger says, both ways.

    batches → pending objects → landing zones and archive → curated and quarantine files → what is in them

Each step streams two sorted sides past each other in bounded memory, and looks at a suspect a second time before it
tells, because a lake may be at work meanwhile. `audit` is the whole of it; nothing is mended unless it is asked for.
"""
