package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"wye/predict"
	"wye/predict/train"
)

func newTrainCommand() *cobra.Command {
	var data, out, config, table string
	cmd := &cobra.Command{
		Use:   "train --data DIR --out FILE",
		Short: "Train the predictor on graded outcomes",
		Long: `Train fits the predictor to the training part of the graded outcomes in DIR
(prompts.jsonl.gz, outcomes.csv.gz and models.csv), measures it on the validation
part, and writes the weights to FILE and a model card beside it, with the
extension .md. The same data and configuration give the same bytes. It takes some
minutes on two processors; progress goes to standard error.`,
		Example: `  wye train --data ../shared/data --out predict/weights/default.wye
  wye train --data ./graded --out mine.wye --config train.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings := train.DefaultConfig()
			if config != "" {
				b, err := os.ReadFile(config)
				if err != nil {
					return err
				}
				if settings, err = train.ParseConfig(b); err != nil {
					return fmt.Errorf("%s: %w", config, err)
				}
			}
			var reuse *predict.Weights
			if table != "" {
				b, err := os.ReadFile(table)
				if err != nil {
					return err
				}
				reuse = new(predict.Weights)
				if err := reuse.UnmarshalBinary(b); err != nil {
					return fmt.Errorf("%s: %w", table, err)
				}
			}
			d, err := train.ReadData(data)
			if err != nil {
				return err
			}
			w, err := train.Fit(d, settings, reuse, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return writeWeights(w, d, settings, out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "folder with the graded outcomes")
	flags.StringVar(&out, "out", "", "weights file to write")
	flags.StringVar(&config, "config", "", "settings as JSON, over the defaults")
	flags.StringVar(&table, "table", "", "take the n-gram table from this weights file instead of fitting it")
	for _, name := range []string{"data", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// writeWeights writes the weights and the card. Both are complete in memory
// first, so that a failure leaves no half-written file that looks whole.
func writeWeights(w *predict.Weights, d *train.Data, settings train.Config, out string) error {
	b, err := w.MarshalBinary()
	if err != nil {
		return err
	}
	p, err := predict.Load(b)
	if err != nil {
		return err
	}
	var card bytes.Buffer
	if err := train.WriteCard(&card, w, settings, d, train.Measure(p, d, train.SplitVal)); err != nil {
		return err
	}
	return errors.Join(
		replaceFile(out, b),
		replaceFile(strings.TrimSuffix(out, filepath.Ext(out))+".md", card.Bytes()),
	)
}

// replaceFile writes a file so that a reader sees the old or the new content.
func replaceFile(name string, content []byte) error {
	temporary := name + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}
