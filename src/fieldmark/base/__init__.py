"""What every room stands on: typed blocks, one-line errors, atomic files, progress bars."""
