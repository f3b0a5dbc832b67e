package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"wye/predict"
)

// gradedPrompt is one line of the outcomes file of wye calibrate.
type gradedPrompt struct {
	Prompt       string   `json:"prompt"`
	System       string   `json:"system"`
	Tools        string   `json:"tools"`
	ToolCount    int      `json:"tool_count"`
	Score        *float64 `json:"score"`
	OutputTokens float64  `json:"output_tokens"`
}

func newCalibrateCommand() *cobra.Command {
	var outcomes, out, predictor string
	var hint predict.Hint
	var skills map[string]string
	cmd := &cobra.Command{
		Use:   "calibrate --outcomes FILE --out FILE",
		Short: "Fit a model that training never saw to graded prompts",
		Long: `Calibrate reads graded answers of one model, one JSON object a line:

  {"prompt": "…", "system": "…", "score": 0.8, "output_tokens": 212}

score is 0 to 1; system, tools, tool_count and output_tokens may be missing. It
starts from what the flags say of the model, moves that by the evidence, and
writes the result for a policy to load. The report says how sure it is and
whether the examples taught it anything, by cross-validation. Twenty graded
prompts move little more than the average; two hundred of your own traffic are
worth collecting.`,
		Example: `  wye calibrate --outcomes graded.jsonl --like gpt-4.1-mini --out my-model.json
  wye calibrate --outcomes graded.jsonl --skill math=0.7 --skill code=0.6 --out my-model.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := loadPredictor(predictor)
			if err != nil {
				return err
			}
			if err := setHint(p, &hint, skills); err != nil {
				return usageError{err}
			}
			b, err := os.ReadFile(outcomes)
			if err != nil {
				return err
			}
			examples, err := readGraded(b)
			if err != nil {
				return fmt.Errorf("%s: %w", outcomes, err)
			}
			_, report, err := predict.Calibrate(p, examples, hint)
			if err != nil {
				return err
			}
			encoded, err := json.MarshalIndent(report.Calibration, "", "  ")
			if err != nil {
				return err
			}
			if err := replaceFile(out, append(encoded, '\n')); err != nil {
				return err
			}
			return printCalibration(cmd.OutOrStdout(), &report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&outcomes, "outcomes", "", "graded answers, JSON lines")
	flags.StringVar(&out, "out", "", "file to write the calibrated model to")
	flags.StringVar(&predictor, "predictor", "", "weights file (default: the built-in weights)")
	flags.StringVar(&hint.Like, "like", "", "a trained model that this one resembles")
	flags.StringToStringVar(&skills, "skill", nil, "a skill's score from 0 to 1, as name=score; repeatable")
	flags.Float64Var(&hint.InputPrice, "input-price", 0, "US dollars per million input tokens")
	flags.Float64Var(&hint.OutputPrice, "output-price", 0, "US dollars per million output tokens")
	flags.BoolVar(&hint.Reasoning, "reasoning", false, "the model thinks at length before it answers")
	for _, name := range []string{"outcomes", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// setHint checks what the operator says of the model against what p knows, so
// that a misspelt name is not silently ignored.
func setHint(p *predict.Predictor, hint *predict.Hint, skills map[string]string) error {
	if hint.Like != "" {
		if _, ok := p.Model(hint.Like); !ok {
			return fmt.Errorf("--like: the predictor was not trained on %q", hint.Like)
		}
	}
	known := map[string]bool{}
	for _, s := range p.Skills() {
		known[s] = true
	}
	for name, text := range skills {
		var score float64
		if err := json.Unmarshal([]byte(text), &score); err != nil || score < 0 || score > 1 || !known[name] {
			return fmt.Errorf("--skill %s=%s: want one of %v and a score from 0 to 1", name, text, p.Skills())
		}
		if hint.Skills == nil {
			hint.Skills = map[string]float64{}
		}
		hint.Skills[name] = score
	}
	return nil
}

// readGraded parses graded answers; an error names the line.
func readGraded(content []byte) ([]predict.Example, error) {
	var examples []predict.Example
	line := 0
	for text := range bytes.Lines(content) {
		line++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var g gradedPrompt
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&g); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if g.Prompt == "" || g.Score == nil || *g.Score < 0 || *g.Score > 1 || g.OutputTokens < 0 {
			return nil, fmt.Errorf("line %d: want a prompt, a score from 0 to 1 and output_tokens of at least 0", line)
		}
		examples = append(examples, predict.Example{
			Input: predict.Input{
				System: []byte(g.System), User: []byte(g.Prompt), Tools: []byte(g.Tools),
				Bytes: len(g.System) + len(g.Prompt), Turns: 1, ToolCount: g.ToolCount,
			},
			Score: *g.Score, OutputTokens: g.OutputTokens,
		})
	}
	return examples, nil
}

func printCalibration(w io.Writer, r *predict.Report) error {
	verdict := "the examples improve on the prior"
	if r.LogLossAfter >= r.LogLossBefore {
		verdict = "the examples do not improve on the prior; grade more prompts"
	}
	_, err := fmt.Fprintf(w, `graded prompts       %d
prior                %s
mean score           %.3f
predicted before     %.3f
predicted after      %.3f, give or take %.3f on one prompt
log loss             %.4f before, %.4f after (cross-validated)
%s
`, r.Graded, r.Prior, r.MeanScore, r.Before, r.After, r.Uncertainty, r.LogLossBefore, r.LogLossAfter, verdict)
	return err
}
