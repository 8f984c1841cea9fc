from PIL import Image


def resize_image(resize_mode, im, width, height, upscaler_name=None):
    """Mode 2: the picture fitted into the square, its edges filling what is left."""
    assert resize_mode == 2
    assert upscaler_name == "None", "the user's upscaler would be asked"
    scale = min(width / im.width, height / im.height)
    fitted = im.resize((round(im.width * scale), round(im.height * scale)), Image.Resampling.LANCZOS)
    result = fitted.resize((width, height))
    result.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return result
