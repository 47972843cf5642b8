"""The command line of medsec: parse, call one library function, render, exit code. No decisions here."""
