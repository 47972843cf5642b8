"""pyinfra mechanisms: the counterparts of the roles' task mechanisms."""
