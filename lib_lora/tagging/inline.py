"""A picture that comes as text (base64, or a data: address) → upright RGB pixels."""

from __future__ import annotations

import base64
import binascii
import io

from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.core.messages import say
from lib_lora.dataset import images
from lib_lora.pictures import headers


def picture(text: str) -> Image.Image:
    """Read it. DataError says why it is none."""
    encoded = text.partition(",")[2] if text.lstrip().startswith("data:") else text
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(say("image: this is no base64 ({why})", why=str(error))) from error
    if not content:
        raise DataError(say("image: there is no picture in it"))
    Image.init()
    try:
        image = Image.open(io.BytesIO(content), formats=[name for name in images.FORMATS if name in Image.OPEN])
        if headers.is_large(image.size):
            raise DataError(say("image: it is so large that its pixels are not looked into here; shrink it"))
        image.load()
        return images.upright(image)
    except Image.UnidentifiedImageError as error:
        raise DataError(say("image: it is not a picture, or of a kind that is not supported")) from error
    except images.DAMAGE as error:
        raise DataError(say("image: it is damaged or cut off ({why})", why=str(error))) from error
