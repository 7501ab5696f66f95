"""`python -m fieldmark`: the same as the console command `fieldmark`."""

from fieldmark.command.main import main

if __name__ == "__main__":
    main()
