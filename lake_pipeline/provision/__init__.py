"""What the lake needs on AWS: how it should be, how it is, and the step between. Everything here can be repeated."""
