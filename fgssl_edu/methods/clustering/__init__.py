"""Methods whose labels are clusters of their own making: images that share a prototype are to be told apart no more."""
