"""`python -m iotpm`: the command line where no script was installed."""

from iotpm.cli import main

main(prog_name="iotpm")
