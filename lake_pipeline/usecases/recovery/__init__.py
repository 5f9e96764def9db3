"""Recovery: finish or release what lost workers left behind."""
