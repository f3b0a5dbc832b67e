package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run . ../..

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

// run writes the page under the repository's root, the only argument.
func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the repository's root as the only argument, got %d arguments", len(args))
	}
	page, err := render(ctx, args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(args[0], pagePath), page, 0o644)
}
