"""The door to objects: the store protocol, its implementations, and the zones of the lake."""
