"""One file per tagger."""
