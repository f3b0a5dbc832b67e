// Command protogen regenerates the Go code of our protobuf schemas. It compiles
// them in process and hands the descriptors to protoc-gen-go, so neither protoc
// nor a network is needed and everybody gets the same bytes. Its test fails when
// the committed code is stale.
//
// It must not know what the schemas mean.
package main
