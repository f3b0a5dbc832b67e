package eval_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/eval"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMarkdown(t *testing.T) {
	t.Parallel()
	write := func() []byte {
		c := config(shop(t), &fake{quality: expert})
		c.Robustness, c.Calibrate = true, 50
		c.Enter, c.Newcomers = []int{0, 20}, &fake{quality: blind}
		var b bytes.Buffer
		if err := mustRun(t, c).WriteMarkdown(&b, "wye eval --data shop"); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	got := write()
	if !bytes.Equal(got, write()) {
		t.Error("the same data and seed gave two reports")
	}
	golden := filepath.Join("testdata", "report.md")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("report (-want +got), -update rewrites it:\n%s", diff)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(mustRun(t, config(shop(t), &fake{quality: expert})))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Pools []struct {
			Source string
			Wye    struct{ Area [3]*float64 }
		}
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Pools) != 2 || r.Pools[1].Source != "subjects" || r.Pools[1].Wye.Area[0] == nil {
		t.Errorf("JSON %+v", r)
	}
}

func TestPlots(t *testing.T) {
	t.Parallel()
	c := config(shop(t), &fake{quality: expert})
	c.Split = eval.SplitAll
	r := mustRun(t, c)
	dir := filepath.Join(t.TempDir(), "made", "here")
	if err := r.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		x := xml.NewDecoder(bytes.NewReader(b))
		for {
			if _, err := x.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", f.Name(), err)
			}
		}
		for _, s := range []string{"balanced", "polymath", "<polyline"} {
			if !bytes.Contains(b, []byte(s)) {
				t.Errorf("%s lacks %q", f.Name(), s)
			}
		}
		if bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) {
			t.Errorf("%s has a point that is no number", f.Name())
		}
	}
	if diff := cmp.Diff([]string{"_odd__.._name.svg", "pair.svg", "subjects.svg"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePlots(file); err == nil {
		t.Error("no error where the folder is a file")
	}
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, "pair.svg"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePlots(blocked); err == nil {
		t.Error("no error where a file cannot be written")
	}
}
