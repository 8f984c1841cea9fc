"""Pictures → tags: taggers, their files, what they said, and the rules that make a caption of it."""
