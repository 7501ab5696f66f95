"""Running the pipeline: `dvc repro` with the time of each stage, here or in a copy of the repository."""
