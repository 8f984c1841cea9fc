"""Networks that are trained beside a frozen model: their layers, file keys and files."""
