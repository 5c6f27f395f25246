"""What people look at: fluxes to colours, cutouts to pictures."""
