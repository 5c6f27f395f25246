"""How the network is asked about a place: what it is shown, told, and by what graph."""
