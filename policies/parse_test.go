package policies_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/policies"
)

// minimal is the smallest policy without a warning.
const minimal = `backends:
  - {name: a-mini, model: gpt-4.1-mini, address: "a.example.com:443", tls: {}}
  - {name: a-nano, model: gpt-4.1-nano, address: "a.example.com:443", tls: {}, zone: eu}
deployments:
  - name: auto
    subset: [gpt-4.1-mini, gpt-4.1-nano]
`

// TestRefused reads documents with a fault each. What is wanted stands in the
// documents; PREDICTOR there is the version of the embedded predictor.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, path := range documents(t, "*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text := read(t, filepath.Base(path))
			report := refuse(t, text)
			if !report.Failed() {
				t.Error("Failed() = false of a refused policy")
			}
			compareFaults(t, text, report.Faults)
		})
	}
}

// TestWarned reads documents that are in order but for a warning each.
func TestWarned(t *testing.T) {
	t.Parallel()
	for _, path := range documents(t, "*.warn.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text := read(t, filepath.Base(path))
			compareFaults(t, text, parse(t, text).Warnings())
		})
	}
}

func documents(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no %s in testdata", pattern)
	}
	return paths
}

func compareFaults(t *testing.T, text string, faults []policies.Fault) {
	t.Helper()
	want := wants(text)
	if len(want) == 0 {
		t.Error("the document has no # want: line")
	}
	var got []string
	for _, f := range faults {
		if f.File != "policy.yaml" {
			t.Errorf("file %q in %v", f.File, f)
		}
		line := strings.TrimPrefix(f.String(), "policy.yaml:")
		got = append(got, strings.ReplaceAll(line, predictor(t).Version(), "PREDICTOR"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text string }{
		{"minimal", minimal},
		{"byte order mark", "\ufeff" + minimal},
		{"carriage returns", strings.ReplaceAll(minimal, "\n", "\r\n")},
		{"one explicit document", "---\n" + minimal + "...\n"},
		{"key sent in plain text to loopback", strings.ReplaceAll(minimal, `"a.example.com:443", tls: {}`, `"127.0.0.1:80", credential: {env: K}`)},
		{"retires tomorrow", minimal + "catalog:\n  - {name: gpt-4.1-nano, retires: 2026-11-26}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if w := parse(t, tt.text).Warnings(); len(w) > 0 {
				t.Errorf("warnings: %v", w)
			}
		})
	}
}

// TestUnreadable has the documents that a text file in testdata cannot show.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "policy.yaml:1:1: the document is empty"},
		{"null", "null\n", "policy.yaml:1:1: must be a mapping with the fields of a policy"},
		{"not UTF-8", "# \xc3\xa9\n# caf\xe9\n", "policy.yaml:2:6: not UTF-8"},
		{"UTF-16", "\xff\xfe#\x00", "policy.yaml:1:1: not UTF-8"},
		{"lone carriage return", "# a\n#\r", "policy.yaml:2:2: a carriage return without a line feed"},
		{"next line", "#\u0085", "policy.yaml:1:2: the line separator U+0085 is not supported, write a line feed"},
		{"line separator", "#é\u2028", "policy.yaml:1:3: the line separator U+2028 is not supported, write a line feed"},
		{"paragraph separator", "\u2029", "policy.yaml:1:1: the line separator U+2029 is not supported, write a line feed"},
		{
			"too large", strings.Repeat("#", policies.MaxBytes+1),
			"policy.yaml:1:1: 1048577 bytes, at most 1048576 are allowed",
		},
		{"second document is broken", minimal + "---\n{", "policy.yaml:9:1: YAML syntax: did not find expected node content"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := refuse(t, tt.text).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLargestDocument(t *testing.T) {
	t.Parallel()
	parse(t, minimal+strings.Repeat("#", policies.MaxBytes-len(minimal)-1)+"\n")
}

func TestManyFaults(t *testing.T) {
	t.Parallel()
	const n = 130
	entries := func(format string) string { return minimal + "catalog:\n" + repeat(n, format) }
	for _, tt := range []struct{ name, text string }{
		{"unknown fields", minimal + repeat(n, "x%d: 1\n")},
		{"unknown names", entries("  - {name: m%d, price: {input: 1, output: 1}, context_window: 1, capabilities: [c]}\n")},
		{"wrong kinds", entries("  - {name: m%d, publisher: []}\n")},
		{"rules of the schema", entries("  - {name: \"%d \"}\n")},
		{"models without facts", entries("  - {name: m%d}\n")},
		{"trained models", entries("  - {name: m%d, price: {input: 1, output: 1}, context_window: 1, ability: {like: x}}\n")},
		{"models of backends", "backends:\n" + repeat(n, "  - {name: b%d, model: x, address: \"a:%[1]d\", tls: {}}\n") + "deployments: [{name: auto, subset: [gpt-4.1, gpt-4o]}]\n"},
		{"models of subsets", minimal + repeat(n, "  - {name: d%d, subset: [x]}\n")},
		{"predictors", minimal + repeat(n, "  - {name: d%d, subset: [gpt-4.1-mini, gpt-4.1-nano], predictor: x}\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report := refuse(t, tt.text)
			if len(report.Faults) != policies.MaxFaults || !report.Truncated {
				t.Errorf("%d faults, truncated %v; want %d, true", len(report.Faults), report.Truncated, policies.MaxFaults)
			}
			if !strings.HasSuffix(report.Error(), "\nand more") {
				t.Error("the message does not say that there are more")
			}
		})
	}
	t.Run("exactly as many as fit", func(t *testing.T) {
		t.Parallel()
		report := refuse(t, minimal+repeat(policies.MaxFaults, "x%d: 1\n"))
		if len(report.Faults) != policies.MaxFaults || report.Truncated {
			t.Errorf("%d faults, truncated %v; want %d, false", len(report.Faults), report.Truncated, policies.MaxFaults)
		}
	})
	t.Run("errors before warnings", func(t *testing.T) {
		t.Parallel()
		warned := repeat(n, "  - {name: d%d, subset: [gpt-4.1-mini]}\n")
		if w := parse(t, minimal+warned).Warnings(); len(w) != policies.MaxFaults {
			t.Errorf("%d warnings, want %d", len(w), policies.MaxFaults)
		}
		report := refuse(t, minimal+warned+"  - {name: last, subset: [x]}\n")
		if !report.Failed() || !strings.Contains(report.Error(), `unknown model "x"`) {
			t.Error("warnings hide the error")
		}
	})
}

// repeat joins n copies of format, each with its number.
func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	t.Parallel()
	const document = `{
  "backends": [
    {"name": "a-mini", "model": "gpt-4.1-mini", "address": "a.example.com:443", "tls": {}},
    {"name": "a-nano", "model": "gpt-4.1-nano", "address": "a.example.com:443", "tls": {}, "zone": "eu"}
  ],
  "deployments": [{"name": "auto", "subset": ["gpt-4.1-mini", "gpt-4.1-nano"]}]
}`
	if got, want := parse(t, document).Hash(), parse(t, minimal).Hash(); got != want {
		t.Errorf("hash %s of JSON, %s of the same in YAML", got, want)
	}
	report := refuse(t, strings.Replace(document, `"zone": "eu"`, `"zone": 7, "colour": "red"`, 1))
	const want = `policy.yaml:4:103: backends[1].colour: unknown field "colour"`
	if got := report.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policies.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Hash(), parse(t, minimal).Hash(); got != want {
		t.Errorf("hash %s of the file, %s of its text", got, want)
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, policies.MaxBytes+9), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"no such file", filepath.Join(dir, "none.yaml"), "read policy: open "},
		{"directory", dir, "read policy: read "},
		{"too large", large, large + ":1:1: 1048577 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := policies.Load(tt.path)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || p != nil {
				t.Errorf("Load: %v, %v, want an error that starts with %q", p, err, tt.want)
			}
		})
	}
}
