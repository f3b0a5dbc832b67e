package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"wye/internal/eval"
	"wye/policies"
	"wye/predict"
	"wye/router"
)

// evalFlags are the flags of wye eval.
type evalFlags struct {
	data, baselines, split, predictor string
	models                            []string
	calibrate, rounds                 int
	enter                             []int
	seed                              uint64
	bands                             router.Bands
	robustness, json                  bool
	plots, markdown                   string
}

func newEvalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --data DIR",
		Short: "Judge the predictor on recorded outcomes",
		Long: `Eval reads graded outcomes of many models from DIR (prompts.jsonl, outcomes.csv
and models.csv, plain or .gz) and reports, source by source, what Wye's three
modes would have reached: quality, cost, and both beside every single model,
random mixes of them, simple baselines and the oracle, with 95% intervals.

The report goes to standard output as Markdown, or as JSON with --json, and the
same data, predictor and flags give the same report.`,
		Example: `  wye eval --data ../shared/data --split val --robustness --enter 0,20,50,200 --markdown docs/evaluation.md
  wye eval --data ./graded --split test --calibrate 200 --json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "folder with the recorded outcomes")
	flags.StringVar(&f.split, "split", eval.SplitVal, "prompts to evaluate: val, test, train or all")
	flags.StringVar(&f.baselines, "baselines", "", "folder whose train part baselines and calibration learn from (default: the data folder)")
	flags.StringVar(&f.predictor, "predictor", "", "weights file (default: the built-in weights)")
	flags.StringSliceVar(&f.models, "models", nil, "the only candidates, separated by commas (default: all)")
	flags.IntVar(&f.calibrate, "calibrate", 0, "graded prompts a pool on which every candidate is calibrated")
	flags.IntSliceVar(&f.enter, "enter", nil, "numbers of graded prompts, separated by commas, with which the pools' models come in as if training had never seen them")
	flags.Float64Var(&f.bands.Balanced, "balanced-band", 0.015, "average quality that the balanced mode may lose, as a share of the best single model's")
	flags.Float64Var(&f.bands.Cost, "cost-band", 0.055, "band of the cost mode, likewise")
	flags.IntVar(&f.rounds, "rounds", 1000, "bootstrap resamples")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of resampling, calibration draws and perturbations")
	flags.BoolVar(&f.robustness, "robustness", false, "report how many decisions another wording of the same prompt changes")
	flags.BoolVar(&f.json, "json", false, "write the report as JSON")
	flags.StringVar(&f.plots, "plots", "", "folder for cost-quality plots, one SVG a source")
	flags.StringVar(&f.markdown, "markdown", "", "write the Markdown report to this file instead of standard output")
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func (f *evalFlags) run(cmd *cobra.Command) error {
	p, err := loadPredictor(f.predictor)
	if err != nil {
		return err
	}
	hints, err := catalogHints()
	if err != nil {
		return err
	}
	c := eval.Config{
		Split: f.split, Models: f.models, Predictor: eval.Wye(p, hints, f.bands), Bands: f.bands, Calibrate: f.calibrate,
		Enter: f.enter, Newcomers: eval.Newcomers(p, hints, f.bands),
		Rounds: f.rounds, Seed: f.seed, Robustness: f.robustness,
		Progress: func(source string) { fmt.Fprintln(cmd.ErrOrStderr(), "evaluating", source) },
	}
	if c.Data, err = eval.Load(f.data); err != nil {
		return err
	}
	if f.baselines != "" {
		if c.Learn, err = eval.Load(f.baselines); err != nil {
			return err
		}
	}
	report, err := eval.Run(cmd.Context(), c)
	if err != nil {
		return err
	}
	if f.plots != "" {
		if err := report.WritePlots(f.plots); err != nil {
			return fmt.Errorf("plots: %w", err)
		}
	}
	return f.write(cmd.OutOrStdout(), report)
}

// loadPredictor reads a weights file, or the built-in weights for no name.
func loadPredictor(file string) (*predict.Predictor, error) {
	if file == "" {
		return predict.Default()
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := predict.Load(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// catalogHints is what the embedded catalog says of models, by both names of
// each: recorded outcomes tend to use the served one.
func catalogHints() (map[string]predict.Hint, error) {
	catalog, err := policies.Catalog()
	if err != nil {
		return nil, err
	}
	hints := map[string]predict.Hint{}
	for _, m := range catalog.GetCatalog() {
		a := m.GetAbility()
		hint := predict.Hint{
			Skills: a.GetSkills(), Like: cmp.Or(a.GetTrainedAs(), a.GetLike()), Reasoning: a.GetReasoning(),
		}
		hints[m.GetName()] = hint
		if m.GetServedAs() != "" {
			hints[m.GetServedAs()] = hint
		}
	}
	return hints, nil
}

func (f *evalFlags) write(stdout io.Writer, report *eval.Report) error {
	if f.markdown != "" {
		var b bytes.Buffer
		if err := report.WriteMarkdown(&b, f.command()); err != nil {
			return err
		}
		if err := os.WriteFile(f.markdown, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	switch {
	case f.json:
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(report)
	case f.markdown == "":
		return report.WriteMarkdown(stdout, f.command())
	}
	return nil
}

// command is the call that repeats the report; --plots and --json add nothing
// to it.
func (f *evalFlags) command() string {
	args := []string{"wye", "eval", "--data", f.data, "--split", f.split}
	add := func(on bool, a ...string) {
		if on {
			args = append(args, a...)
		}
	}
	add(f.baselines != "", "--baselines", f.baselines)
	add(f.predictor != "", "--predictor", f.predictor)
	add(len(f.models) > 0, "--models", strings.Join(f.models, ","))
	add(f.calibrate > 0, "--calibrate", strconv.Itoa(f.calibrate))
	add(true, "--balanced-band", fmt.Sprint(f.bands.Balanced), "--cost-band", fmt.Sprint(f.bands.Cost))
	add(true, "--rounds", strconv.Itoa(f.rounds), "--seed", strconv.FormatUint(f.seed, 10))
	add(f.robustness, "--robustness")
	if len(f.enter) > 0 {
		numbers := make([]string, len(f.enter))
		for i, n := range f.enter {
			numbers[i] = strconv.Itoa(n)
		}
		args = append(args, "--enter", strings.Join(numbers, ","))
	}
	add(f.markdown != "", "--markdown", f.markdown)
	return strings.Join(args, " ")
}
