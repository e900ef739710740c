"""``python -m medidiff`` is the command ``medidiff``."""

from medidiff.cli.main import main

if __name__ == "__main__":
    main()
