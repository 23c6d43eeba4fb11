"""The file formats of the field: `registry` lists them; each module holds readers that stream, and writers."""
