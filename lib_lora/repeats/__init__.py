"""How often each class of pictures is repeated: the rules of the style guide as an integer problem."""
