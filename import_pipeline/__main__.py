"""`python -m import_pipeline`: the command line where its script is not on the PATH."""

from import_pipeline.cli import main

if __name__ == "__main__":
    main()
