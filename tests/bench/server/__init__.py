"""The loopback server that benchmarks run against, the bare client they are compared to, and the check of both."""
