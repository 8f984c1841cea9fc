"""What the WebUI runs to have our step in its Extras tab."""

from lib_lora import app

LoraStudioTags = app.extras_step()
