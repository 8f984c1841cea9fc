"""LoRA Studio: train, sort and tune LoRAs inside a Stable Diffusion WebUI or without one."""

__version__ = "0.1.0"
