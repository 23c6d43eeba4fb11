"""The file formats of the field: one table of them (`table`), readers that stream, writers where people need one."""
