"""What a packet filter lets through: packets as regions of numbers, and a walk of `nft -j list ruleset` over them.

Pure: no host, no engine. The probe asks it what a host accepts; the remedy asks it whether there is anything to mend.
"""
