"""Pretext tasks: a question about a picture that the picture itself answers."""
