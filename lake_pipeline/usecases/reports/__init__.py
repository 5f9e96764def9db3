"""Reports: what people read about contracts and about the cost of a backlog."""
