"""`python -m fidtools` is `fidtools`."""

from fidtools.cli import main

if __name__ == "__main__":
    main()
