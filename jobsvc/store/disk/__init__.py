"""How much room there is on the disks."""
