"""What a curated row is: columns, types, names, how they are inferred and grow, and what is rescued."""
