"""What every other folder uses: typed blocks, one-line errors, atomic files, locks, progress bars."""
