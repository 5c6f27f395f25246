"""Where clusters are said to be: positions from tables, catalogues and regions."""
