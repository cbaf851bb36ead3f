"""The people's side of Stillroom: the browser app, the worker behind it and the command line."""
