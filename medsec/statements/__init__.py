"""Statement packs: what a database administrator reviews and runs by hand on products that medsec does not reach."""

from medsec.statements.pack import Pack, load_pack, load_packs
from medsec.statements.script import Scripts, scripts
from medsec.statements.values import Values, values_for

__all__ = ["Pack", "Scripts", "Values", "load_pack", "load_packs", "scripts", "values_for"]
