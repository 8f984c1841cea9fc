"""Captions in work: filters, batch operations with undo and preview, and saves that a crash cannot tear."""
