package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The repository's root, seen from this package.
var root = filepath.Join("..", "..")

func TestCommittedCodeIsFresh(t *testing.T) {
	t.Parallel()
	files, err := generate(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("nothing was generated")
	}
	for _, f := range files {
		committed, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, f.content) {
			t.Errorf("%s is stale: run go generate ./policies", f.path)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, err := os.ReadFile(filepath.Join(root, "policies/proto/wye/policy/v1/policy.proto"))
	if err != nil {
		t.Fatal(err)
	}
	place(t, dir, string(source))
	if err := write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "policies/policyv1/policy.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got, []byte("package policyv1")) {
		t.Error("the written file is not the generated package")
	}
}

func TestGenerateErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, proto, want string }{
		{
			name:  "syntax",
			proto: "syntax = \"proto3\"; message {",
			want:  "syntax error",
		},
		{
			name:  "import that is nowhere",
			proto: "syntax = \"proto3\"; import \"no/such.proto\";",
			want:  "no/such.proto",
		},
		{
			name:  "no go_package",
			proto: "syntax = \"proto3\"; message M {}",
			want:  "go_package",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			place(t, dir, tt.proto)
			_, err := generate(t.Context(), dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("generate: %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// place writes content as the only schema of the repository at dir.
func place(t *testing.T, dir, content string) {
	t.Helper()
	path := filepath.Join(dir, "policies/proto/wye/policy/v1/policy.proto")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
