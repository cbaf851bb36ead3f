"""`python -m app` is the command `stillroom`."""

from app.cli import main

main()
