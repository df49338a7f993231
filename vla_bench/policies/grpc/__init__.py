"""The policy API over gRPC: the same messages and rules as over HTTP. Needs the extra `grpc`."""
