"""From results to one page, a summary of it, and a review of what a change does to them."""
