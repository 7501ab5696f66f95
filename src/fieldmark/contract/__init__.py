"""What a method is: the contract, its variants, and how a trained one is found, saved and read."""
