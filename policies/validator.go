package policies

import (
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"wye/policies/policyv1"
)

// validator holds the compiled rules of the schema. It is built once, when the
// first document is read.
var validator = sync.OnceValues(func() (protovalidate.Validator, error) {
	return withOwnFiles(func() (protovalidate.Validator, error) {
		return protovalidate.New(protovalidate.WithMessages(&policyv1.Policy{}), protovalidate.WithDisableLazy())
	})
})

// withOwnFiles runs build while the registry of protobuf files has no more than
// the policy's schema and what it imports. protovalidate declares every
// registered message to its expression language, which here is all of Envoy's
// API: 6 MB of live memory, a tenth of a sidecar's, for rules that speak of
// none of it. The registry is read by whoever looks descriptors up by name, which
// nothing in Wye does: not even an Any, whose registry is that of types.
func withOwnFiles[T any](build func() (T, error)) (T, error) {
	all := protoregistry.GlobalFiles
	own := new(protoregistry.Files)
	register(own, policyv1.File_wye_policy_v1_policy_proto)
	protoregistry.GlobalFiles = own
	defer func() { protoregistry.GlobalFiles = all }()
	return build()
}

// register adds file and its imports.
func register(files *protoregistry.Files, file protoreflect.FileDescriptor) {
	if _, err := files.FindFileByPath(file.Path()); err == nil {
		return
	}
	imports := file.Imports()
	for i := range imports.Len() {
		register(files, imports.Get(i).FileDescriptor)
	}
	if err := files.RegisterFile(file); err != nil {
		panic(err) // The files are linked into this program, so they are consistent.
	}
}
