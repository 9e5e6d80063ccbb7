"""A Graph on disk and in pictures.

Owns the default format (``ir``) and drawing (``draw``). Nothing else in the package depends on it.
"""
