"""The pictures of a folder as the dataset page knows them: what lies there, what the pixels say, what belongs together."""
