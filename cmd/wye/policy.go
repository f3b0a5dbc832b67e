package main

import (
	"fmt"
	"io"
	"os"

	"wye/policies"
)

// readPolicy returns the text of the policy at path and its name in messages:
// "-" is standard input, and no path at all the embedded default policy.
func readPolicy(path string, stdin io.Reader) (name string, content []byte, err error) {
	switch path {
	case "":
		return policies.DefaultName, policies.DefaultYAML(), nil
	case "-":
		name = "standard input"
		content, err = io.ReadAll(io.LimitReader(stdin, policies.MaxBytes+1))
	default:
		name = path
		content, err = readLimited(path, policies.MaxBytes+1)
	}
	if err != nil {
		return name, nil, fmt.Errorf("read policy: %w", err)
	}
	return name, content, nil
}

// readLimited reads at most limit bytes of a file.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
