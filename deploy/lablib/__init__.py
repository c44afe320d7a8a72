"""The lab: several Viaduct nodes on one machine, each in namespaces of its own."""
