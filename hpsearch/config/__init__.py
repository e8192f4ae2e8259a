"""The config: what may be written in it, how it is found, read strictly, and written back."""
