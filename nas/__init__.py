"""The search: supernet, controller, REINFORCE, and the loop that interleaves them."""
