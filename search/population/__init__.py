"""Planning for people whose profile nobody knows: the plan is a tree that branches on answers."""
