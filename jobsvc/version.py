"""Which version of the service this is. The package's own file has the same number."""

VERSION = "0.1.0"
