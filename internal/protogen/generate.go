package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	// Imported for its descriptor: schemas import buf/validate/validate.proto.
	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// schema is one set of .proto files.
type schema struct {
	dir   string   // import root, relative to the repository's root
	files []string // relative to dir
}

const modulePath = "wye"

var schemas = []schema{
	{dir: "policies/proto", files: []string{"wye/policy/v1/policy.proto"}},
}

// output is one generated file.
type output struct {
	path    string // relative to the repository's root
	content []byte
}

// generate returns the Go code of every schema under root, the repository's
// root directory.
func generate(ctx context.Context, root string) ([]output, error) {
	var all []output
	for _, s := range schemas {
		out, err := s.generate(ctx, root)
		if err != nil {
			return nil, fmt.Errorf("generate %s: %w", s.dir, err)
		}
		all = append(all, out...)
	}
	return all, nil
}

func (s *schema) generate(ctx context.Context, root string) ([]output, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{filepath.Join(root, s.dir)}},
			protocompile.ResolverFunc(linked),
		},
		// The comments become the documentation of the generated Go types.
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, s.files...)
	if err != nil {
		return nil, err
	}
	req := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: s.files,
		Parameter:      new("module=" + modulePath),
	}
	seen := make(map[string]bool)
	for _, f := range compiled {
		req.ProtoFile = appendWithImports(req.ProtoFile, seen, f)
	}
	return run(ctx, req)
}

// linked resolves an import from the descriptors in this binary.
func linked(path string) (protocompile.SearchResult, error) {
	fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	return protocompile.SearchResult{Desc: fd}, nil
}

// appendWithImports appends fd and, before it, all it imports, each once.
func appendWithImports(to []*descriptorpb.FileDescriptorProto, seen map[string]bool, fd protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	if seen[fd.Path()] {
		return to
	}
	seen[fd.Path()] = true
	for i := range fd.Imports().Len() {
		to = appendWithImports(to, seen, fd.Imports().Get(i).FileDescriptor)
	}
	return append(to, protodesc.ToFileDescriptorProto(fd))
}

// run calls protoc-gen-go, in the version that go.mod pins, over its documented
// interface: a request on standard input, a response on standard output.
func run(ctx context.Context, req *pluginpb.CodeGeneratorRequest) ([]output, error) {
	in, err := proto.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "protoc-gen-go")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run protoc-gen-go: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var resp pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(stdout.Bytes(), &resp); err != nil {
		return nil, fmt.Errorf("decode the response: %w", err)
	}
	if resp.Error != nil {
		return nil, errors.New("protoc-gen-go: " + resp.GetError())
	}
	out := make([]output, len(resp.File))
	for i, f := range resp.File {
		out[i] = output{path: filepath.FromSlash(f.GetName()), content: []byte(f.GetContent())}
	}
	return out, nil
}
