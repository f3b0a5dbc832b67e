package policies_test

import (
	"errors"
	"path/filepath"
	"testing"

	"wye/policies"
)

// FuzzParse reads arbitrary documents. A refusal must say where and why,
// and what is accepted must compile.
//
//	go test -run '^$' -fuzz FuzzParse -fuzztime 60s ./policies
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add(policies.DefaultYAML())
	for _, path := range documents(f, "*.yaml") {
		f.Add([]byte(read(f, filepath.Base(path))))
	}
	f.Add([]byte("a: &a [*a]\nb: !!binary x\n? [c]\n: d\n"))
	f.Add([]byte("backends: [{tls: ~, name: 1e9, weight: 0x7fffffffffffffff}]\nlimits: \"\\u2028\"\n"))
	f.Add([]byte("{\"deployments\":[{\"limits\":{\"timeout\":\"9223372036854775807h\"}}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policies.Parse("policy.yaml", data, policies.WithToday(today))
		var report *policies.Report
		switch {
		case errors.As(err, &report):
			checkReport(t, report)
			return
		case err != nil:
			t.Fatalf("Parse: %v, want a *Report", err)
		}
		s, err := p.Compile()
		if err != nil {
			t.Fatalf("an accepted policy does not compile: %v", err)
		}
		if len(s.Deployments) == 0 || s.Hash != p.Hash() {
			t.Fatalf("snapshot %q with %d deployments of policy %q", s.Hash, len(s.Deployments), p.Hash())
		}
	})
}

func checkReport(t *testing.T, report *policies.Report) {
	t.Helper()
	if !report.Failed() {
		t.Error("a policy was refused without an error")
	}
	if len(report.Faults) > policies.MaxFaults {
		t.Errorf("%d faults, at most %d are wanted", len(report.Faults), policies.MaxFaults)
	}
	previous := policies.Fault{}
	for _, f := range report.Faults {
		if f.File != "policy.yaml" || f.Line < 1 || f.Column < 1 || f.Message == "" {
			t.Errorf("incomplete fault %+v", f)
		}
		if f.Line < previous.Line || f.Line == previous.Line && f.Column < previous.Column {
			t.Errorf("%v comes after %v", f, previous)
		}
		previous = f
	}
}
