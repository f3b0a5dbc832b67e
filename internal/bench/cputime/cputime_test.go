package cputime_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"wye/internal/bench/cputime"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const rest = " S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 1 1 1\n"
	for _, test := range []struct {
		name, line string
		want       time.Duration
		wantErr    error
	}{
		{name: "plain", line: "12 (envoy)" + rest, want: 3 * time.Second},
		{name: "spaces and parentheses in the name", line: "12 (a) b (c)" + rest, want: 3 * time.Second},
		{name: "empty", line: "", wantErr: cputime.ErrFormat},
		{name: "short", line: "12 (envoy) S 1 2 3 4 5 6 7 8 9 10 250", wantErr: cputime.ErrFormat},
		{name: "no number", line: "12 (envoy) S 1 2 3 4 5 6 7 8 9 10 x 50 0", wantErr: cputime.ErrFormat},
		{name: "negative", line: "12 (envoy) S 1 2 3 4 5 6 7 8 9 10 -1 50 0", wantErr: cputime.ErrFormat},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := cputime.Parse([]byte(test.line))
			if !errors.Is(err, test.wantErr) || got != test.want {
				t.Errorf("Parse(%q) = %v, %v; want %v, %v", test.line, got, err, test.want, test.wantErr)
			}
		})
	}
}

func TestOfCountsWork(t *testing.T) {
	t.Parallel()
	before, err := cputime.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline, spent := time.Now().Add(30*time.Second), before
	for spent-before < 50*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatalf("cpu time went from %v to %v in 30s of work", before, spent)
		}
		if spent, err = cputime.Of(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOfGoneProcess(t *testing.T) {
	t.Parallel()
	if _, err := cputime.Of(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want one that wraps fs.ErrNotExist", err)
	}
}
