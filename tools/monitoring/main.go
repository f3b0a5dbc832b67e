// Command monitoring checks Prometheus alert rules and the queries of Grafana
// dashboards with Prometheus's own parsers. Its arguments are files: *.yaml are
// rules, *.json dashboards.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string) error {
	if len(files) == 0 {
		return errors.New("usage: monitoring FILE…")
	}
	var errs []error
	for _, file := range files {
		check := checkDashboard
		if filepath.Ext(file) == ".yaml" {
			check = checkRules
		}
		if err := check(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
	}
	return errors.Join(errs...)
}
