"""Write bundles, verify them, predict and decide with them, serve them."""
