"""Masked images: hide most of a picture, learn by guessing it from the rest."""
