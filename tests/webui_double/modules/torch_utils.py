def get_param(model):
    return next(model.parameters())
