"""One file per kind of network."""
