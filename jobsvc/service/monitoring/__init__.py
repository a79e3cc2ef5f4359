"""What the whole service tells whoever watches it."""
