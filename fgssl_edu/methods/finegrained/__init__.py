"""Methods for classes that differ in little: what a contrast overlooks, put back."""
