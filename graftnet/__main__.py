"""`python -m graftnet` is the console script `graftnet`."""

from graftnet.cli import main

if __name__ == "__main__":
    main()
