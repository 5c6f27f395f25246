"""Stars of one age as a stellar model has them: grids, files, stages, light."""
