"""The command line: arguments, files, messages. Nothing imports it but the entry point."""
