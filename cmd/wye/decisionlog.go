package main

import (
	"errors"

	"github.com/spf13/cobra"

	"wye/internal/sidecar"
	accounting "wye/usage"
)

// addDecisionLogFlags adds the flags of the decision log.
func addDecisionLogFlags(cmd *cobra.Command, c *sidecar.Config) {
	cmd.Flags().StringVar(&c.DecisionLog.Path, "decision-log", "", "`file` for one JSON record a request, or stdout (default: none)")
	cmd.Flags().IntVar(&c.DecisionLog.MaxSizeMB, "decision-log-max-size", accounting.DefaultLogMaxSizeMB, "`megabytes` at which that file is set aside for a new one")
	cmd.Flags().IntVar(&c.DecisionLog.MaxFiles, "decision-log-max-files", accounting.DefaultLogMaxFiles, "`number` of files set aside that are kept (0: all)")
	cmd.Flags().BoolVar(&c.LogPrompts, "log-prompts", false, "put what the predictor reads of each prompt into the decision log")
}

// checkDecisionLog refuses what those flags cannot mean.
func checkDecisionLog(c *sidecar.Config) error {
	switch {
	case c.DecisionLog.MaxSizeMB <= 0:
		return usageError{errors.New("--decision-log-max-size must be above 0")}
	case c.DecisionLog.MaxFiles < 0:
		return usageError{errors.New("--decision-log-max-files must not be below 0")}
	case c.LogPrompts && c.DecisionLog.Path == "":
		return usageError{errors.New("--log-prompts needs --decision-log")}
	}
	return nil
}
