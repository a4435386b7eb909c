"""The commands, one file per group; each imports the rooms it needs when it is called, so that --help is quick."""
