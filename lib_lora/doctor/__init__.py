"""What is wrong with a folder of pictures before a long run, all of it at once, and what mends it."""
