"""The sub-commands of the console command."""
