"""The two towers of a CLIP, and the sentences that go into one of them."""
