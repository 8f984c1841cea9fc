"""Folder → items → buckets → batches: everything about pictures and captions that needs no model."""
