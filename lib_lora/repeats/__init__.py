"""How often each class of pictures is repeated: the rules of the style guide as an integer problem."""

from lib_lora.repeats.check import Checked, check
from lib_lora.repeats.problem import Answer, Problem
from lib_lora.repeats.solver import solve

__all__ = ["Answer", "Checked", "Problem", "check", "solve"]
