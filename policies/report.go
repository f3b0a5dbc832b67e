package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a policy with a fault can be used.
type Severity uint8

// The severities. A policy with an error is refused; a warning is for the
// operator to judge.
const (
	SeverityError Severity = iota
	SeverityWarning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	switch s {
	case SeverityError:
		return "error"
	case SeverityWarning:
		return "warning"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// Fault is one thing wrong with a policy document.
type Fault struct {
	Severity Severity
	File     string
	Line     int // from 1
	Column   int // from 1, in characters
	// Path is the field at fault, e.g. deployments[2].subset[1]; empty for the
	// document as a whole.
	Path    string
	Message string
}

// String is the fault on one line: file:line:col: path: message. Warnings have
// the word before the path.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Severity != SeverityError {
		fmt.Fprintf(&b, "%v: ", f.Severity)
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Report is every fault of a document, sorted by position. As an error it reads
// as one line a fault.
type Report struct {
	Faults []Fault
	// Truncated is set when there are more faults than MaxFaults.
	Truncated bool

	errors int // among Faults
}

// MaxFaults bounds the faults of one Report.
const MaxFaults = 100

// Error implements error.
func (r *Report) Error() string {
	lines := make([]string, 0, len(r.Faults)+1)
	for _, f := range r.Faults {
		lines = append(lines, f.String())
	}
	if r.Truncated {
		lines = append(lines, "and more")
	}
	return strings.Join(lines, "\n")
}

// Failed reports whether the document has an error, not just warnings.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Severity == SeverityError })
}

// full reports whether an error that was found has no room, and notes that there
// was one. It spares a caller the work of wording it.
func (r *Report) full() bool {
	full := r.errors >= MaxFaults
	r.Truncated = r.Truncated || full
	return full
}

// add appends f if there is room. An error takes the place of a warning if need
// be, so that warnings never hide that a policy is refused, and why.
func (r *Report) add(f Fault) {
	if f.Severity == SeverityError {
		if r.full() {
			return
		}
		r.errors++
	}
	if len(r.Faults) < MaxFaults {
		r.Faults = append(r.Faults, f)
		return
	}
	r.Truncated = true
	if f.Severity == SeverityError {
		i := slices.IndexFunc(r.Faults, func(f Fault) bool { return f.Severity != SeverityError })
		r.Faults[i] = f
	}
}

// sort orders the faults by position, errors first where positions are equal.
func (r *Report) sort() {
	slices.SortStableFunc(r.Faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Severity, b.Severity))
	})
}
