"""Interactive panels: controls above one picture, each built on a pure drawing function."""
