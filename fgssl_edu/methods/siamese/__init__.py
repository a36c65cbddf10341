"""Methods that compare two views of one image and no others."""
