"""What is trained: encoder, heads, views and losses."""
