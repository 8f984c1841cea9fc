"""Hosts: the programs that own a model. Nothing outside this folder knows the WebUI."""
