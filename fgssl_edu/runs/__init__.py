"""One run of a lesson: its parameters, its cache, its executed notebook; the experiments behind the records."""
