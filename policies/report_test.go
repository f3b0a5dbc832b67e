package policies_test

import (
	"testing"

	"wye/policies"
)

func TestReport(t *testing.T) {
	t.Parallel()
	warning := policies.Fault{Severity: policies.SeverityWarning, File: "p.yaml", Line: 3, Column: 7, Path: "deployments[0]", Message: "is odd"}
	fault := policies.Fault{File: "p.yaml", Line: 1, Column: 1, Message: "is empty"}
	for _, tt := range []struct {
		name   string
		report policies.Report
		text   string
		failed bool
	}{
		{name: "nothing"},
		{
			name:   "warning",
			report: policies.Report{Faults: []policies.Fault{warning}},
			text:   "p.yaml:3:7: warning: deployments[0]: is odd",
		},
		{
			name:   "both",
			report: policies.Report{Faults: []policies.Fault{fault, warning}},
			text:   "p.yaml:1:1: is empty\np.yaml:3:7: warning: deployments[0]: is odd",
			failed: true,
		},
		{
			name:   "truncated",
			report: policies.Report{Faults: []policies.Fault{fault}, Truncated: true},
			text:   "p.yaml:1:1: is empty\nand more",
			failed: true,
		},
	} {
		if got := tt.report.Error(); got != tt.text {
			t.Errorf("%s: Error() = %q, want %q", tt.name, got, tt.text)
		}
		if got := tt.report.Failed(); got != tt.failed {
			t.Errorf("%s: Failed() = %v, want %v", tt.name, got, tt.failed)
		}
	}
}

func TestSeverityString(t *testing.T) {
	t.Parallel()
	for s, want := range map[policies.Severity]string{
		policies.SeverityError:   "error",
		policies.SeverityWarning: "warning",
		9:                        "severity(9)",
	} {
		if got := s.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
