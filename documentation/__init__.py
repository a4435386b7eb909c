"""Makes the site of docs/: its reference pages out of the code, and the outputs that its tutorial shows."""
