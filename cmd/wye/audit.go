package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"wye/internal/audit"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Sum up decision logs",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditZonesCommand())
	return cmd
}

func newAuditZonesCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "zones --log FILE",
		Short: "Report in which data zones requests were served, by the decision log",
		Long: `Zones reads a decision log (- is standard input) and prints for every deployment in
which zones its requests were served. It exits with 1 when a request of a
zone-bound deployment was served or attempted in another zone, and when a line of
the log cannot be read.`,
		Example: "  wye audit zones --log decisions.jsonl",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if path == "" {
				return usageError{errors.New("--log is missing")}
			}
			in := cmd.InOrStdin()
			if path != "-" {
				f, err := os.Open(path)
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			z, err := audit.ReadZones(in)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				err = e.Encode(z)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), z.String())
			}
			if err != nil {
				return err
			}
			if err := z.Err(); err != nil {
				return fmt.Errorf("%s: requests left their data zone: %w", path, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "log", "", "decision log `file`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}
