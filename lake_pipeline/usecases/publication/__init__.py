"""Publication: everything between a claim and the archived originals."""
