"""Who: the hosts of a site, its ledger (台账), and the parameters in force for each host."""

from medsec.inventory.effective import Params, effective
from medsec.inventory.hosts import Host, Inventory
from medsec.inventory.ledger import Ledger, LedgerHost
from medsec.inventory.loading import load_inventory

__all__ = ["Host", "Inventory", "Ledger", "LedgerHost", "Params", "effective", "load_inventory"]
