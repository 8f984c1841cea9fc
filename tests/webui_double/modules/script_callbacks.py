registered = []


def _collector(kind):
    return lambda function: registered.append((kind, function))


on_ui_tabs = _collector("ui_tabs")
on_app_started = _collector("app_started")
on_script_unloaded = _collector("script_unloaded")
on_model_loaded = _collector("model_loaded")
