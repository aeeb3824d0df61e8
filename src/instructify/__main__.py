"""`python -m instructify`."""

from instructify.cli import main

if __name__ == "__main__":
    main()
