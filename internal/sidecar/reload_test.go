package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"wye/router"
)

// The content of a test policy is its hash; "broken" does not compile and
// "unacknowledged" and "refused" fail at the Envoys.
func newReloader(t *testing.T) (r *reloader, steps *[]string, rotated *bool) {
	t.Helper()
	steps, rotated = new([]string), new(bool)
	r = &reloader{router: new(router.Router), log: zerolog.Nop(), inForce: func(s *router.Snapshot) {
		*steps = append(*steps, "account for "+s.Hash)
	}}
	r.compile = func(content []byte) (*router.Snapshot, error) {
		if string(content) == "broken" {
			return nil, errors.New("policy.yaml:1:1: broken")
		}
		return router.NewSnapshot(router.Config{Hash: string(content)})
	}
	r.stage = func(_ context.Context, s *router.Snapshot) (func(), error) {
		inForce := "nothing"
		if old := r.router.Snapshot(); old != nil {
			inForce = old.Hash
		}
		if inForce == s.Hash && !*rotated {
			return nil, nil
		}
		*steps = append(*steps, fmt.Sprintf("stage %s while %s", s.Hash, inForce))
		switch s.Hash {
		case "unacknowledged":
			return nil, fmt.Errorf("envoy a: %w", context.DeadlineExceeded)
		case "refused":
			return nil, errors.New("envoy a: no such filter")
		}
		return func() { *steps = append(*steps, "retire for "+r.router.Snapshot().Hash) }, nil
	}
	return r, steps, rotated
}

func TestReload(t *testing.T) {
	t.Parallel()
	r, steps, rotated := newReloader(t)
	apply := func(content, wantErr string) {
		t.Helper()
		again, err := r.apply(t.Context(), []byte(content))
		switch {
		case wantErr == "" && err != nil:
			t.Fatal(err)
		case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
			t.Fatalf("error %v, want %q", err, wantErr)
		}
		if want := content == "unacknowledged"; (again > 0) != want {
			t.Errorf("%s: again after %v", content, again)
		}
	}
	apply("a", "")
	apply("b", "")
	for content, why := range map[string]string{
		"broken": "policy.yaml:1:1: broken", "unacknowledged": "envoy a: context deadline exceeded", "refused": "no such filter",
	} {
		apply(content, why)
		if got := r.router.Snapshot().Hash; got != "b" {
			t.Errorf("after %s policy %q is in force", content, got)
		}
		if s := r.status(); s.Hash != "b" || !strings.Contains(s.Refused, why) || s.RefusedAt.IsZero() {
			t.Errorf("after %s the status is %+v", content, s)
		}
	}
	apply("b", "")
	if s := r.status(); s.Refused != "" || s.Reloads != 2 || s.Failures != 3 || s.LoadedAt.IsZero() {
		t.Errorf("status %+v", s)
	}
	slices.Sort((*steps)[6:])
	*rotated = true // the same policy with another key
	apply("b", "")
	if s := r.status(); s.Reloads != 2 {
		t.Errorf("another key counts as another policy: %+v", s)
	}
	want := []string{
		"stage a while nothing", "account for a", "retire for a", "stage b while a", "account for b", "retire for b",
		"account for b", "stage refused while b", "stage unacknowledged while b", // the first by an edit without a change of meaning
		"stage b while b", "account for b", "retire for b",
	}
	if !slices.Equal(*steps, want) {
		t.Errorf("steps %q\nwant %q", *steps, want)
	}
}
