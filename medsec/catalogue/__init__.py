"""What medsec claims: items, clauses, controls, and the indexes generated from them. Pure: no engine, no network."""
