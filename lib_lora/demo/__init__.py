"""The embedded default: a small checkpoint and a small captioned set that the project makes itself."""
