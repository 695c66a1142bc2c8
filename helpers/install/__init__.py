"""What the set-up cell needs before anything else is there: the standard library and `packaging` alone."""
