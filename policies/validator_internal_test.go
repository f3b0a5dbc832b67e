package policies

import (
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/core/v3" // a schema that is none of the policy's
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func TestWithOwnFiles(t *testing.T) {
	all := protoregistry.GlobalFiles
	seen, err := withOwnFiles(func() (map[string]bool, error) {
		seen := map[string]bool{}
		protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			seen[f.Path()] = true
			return true
		})
		return seen, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"wye/policy/v1/policy.proto": true, "buf/validate/validate.proto": true, "google/protobuf/duration.proto": true,
		"envoy/config/core/v3/base.proto": false,
	} {
		if seen[path] != want {
			t.Errorf("%s: seen %t, want %t", path, seen[path], want)
		}
	}
	if protoregistry.GlobalFiles != all {
		t.Error("the registry is not what it was")
	}
	if _, err := all.FindFileByPath("envoy/config/core/v3/base.proto"); err != nil {
		t.Error(err)
	}
}
