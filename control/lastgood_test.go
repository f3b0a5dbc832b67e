package control_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"wye/control"
)

// What is kept comes back whole or not at all.
func TestLastGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := lastGood(t, dir, "eu")
	if got, err := l.Load(); got != nil || err != nil {
		t.Errorf("loaded %v, %v from nothing", got, err)
	}
	want := parse(t, policyText(1, 1)).Document()
	for range 2 { // the second time over the first
		if err := l.Save(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Load()
	if err != nil || !proto.Equal(got, want) {
		t.Fatalf("loaded %v, %v", got, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
	if _, err := lastGood(t, dir, "us").Load(); err == nil || !strings.Contains(err.Error(), `data zone "eu"`) {
		t.Errorf("error %v for another zone", err)
	}
	content, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(content)
	flipped[len(flipped)-9] ^= 1
	for name, damaged := range map[string][]byte{
		"empty": {}, "cut": content[:len(content)-1], "longer": append(bytes.Clone(content), 0), "a bit flipped": flipped,
		"no header": []byte("deployments: []\n"), "a header alone": []byte(`{"wye_policy_format":1}`),
		"a later format": bytes.Replace(content, []byte(`format":1`), []byte(`format":2`), 1),
		"another hash":   bytes.Replace(content, []byte(`"policy":"`), []byte(`"policy":"0`), 1),
	} {
		if err := os.WriteFile(l.Path(), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Load(); err == nil || got != nil || !strings.Contains(err.Error(), l.Path()) {
			t.Errorf("%s: loaded %v, %v", name, got != nil, err)
		}
	}
	if err := os.Remove(l.Path()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(l.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Load(); err == nil {
		t.Error("a directory was loaded")
	}
	if err := l.Save(want); err == nil {
		t.Error("a directory was replaced")
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*.*.*")); err != nil || len(files) != 0 {
		t.Errorf("left behind %v, %v", files, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.NewLastGood(file, ""); err == nil {
		t.Error("a file is taken for a directory")
	}
}

// Parts are one policy only when all are there, and nothing else.
func TestPartsAreWhole(t *testing.T) {
	t.Parallel()
	set, err := control.NewSet(parse(t, policyText(3, 1)).Document())
	if err != nil {
		t.Fatal(err)
	}
	all := set.Resources()
	if err := control.Join(all, set.Hash); err != nil {
		t.Fatal(err)
	}
	for i, r := range all {
		if err := control.Join(slices.Delete(slices.Clone(all), i, i+1), set.Hash); err == nil {
			t.Errorf("whole without %s", r.GetName())
		}
	}
	for name, other := range map[string]*discoveryv3.Resource{
		"one more":        {Name: "deployment/more", Resource: &anypb.Any{Value: all[0].GetResource().GetValue()}},
		"what is no part": {Name: "head", Resource: &anypb.Any{Value: []byte{0xff}}},
		"another's part":  {Name: "head", Resource: all[0].GetResource()},
	} {
		if err := control.Join(append(slices.Clone(all), other), set.Hash); err == nil {
			t.Errorf("whole with %s", name)
		}
	}
	if err := control.Join(all, "0123456789ab"); err == nil {
		t.Error("whole under another's hash")
	}
}
