"""What the WebUI runs to load the extension, at its start and at each Reload UI."""

from lib_lora import app

app.register_webui()
