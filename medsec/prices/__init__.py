"""Tables of prices and catalogues: what they hold, and approving it."""
