"""Captions being edited: filters, operations, undo, saving, and what they say about a trigger."""
