"""The pages. Nothing outside this folder (and hosts) knows gradio."""
