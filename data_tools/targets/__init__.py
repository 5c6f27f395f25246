"""Target descriptions that ship, one YAML file each."""
