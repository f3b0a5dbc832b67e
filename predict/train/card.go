package train

import (
	"fmt"
	"io"
	"slices"
	"text/template"

	"wye/predict"
)

// cardText is the model card. What it claims comes from the run; what it warns
// of comes from how the predictor is made.
const cardText = `# Model card: Wye predictor {{.Weights.Version}}

Written by ` + "`wye train`" + `; do not edit.

## What it is
For one prompt and each candidate model, it estimates the probability of a good answer, how sure that is, and the
length of the answer. Text becomes hashed word and character n-grams, a frozen table turns them into {{.Dim}} numbers, and
two small networks name the kind of task ({{len .Weights.Tasks}} kinds) and what the prompt demands on {{.Weights.Axes}} axes. It is meant for choosing among
models, not for judging answers.

## Training data
{{.Train}} prompts with {{.Answers}} graded answers of {{len .Weights.Models}} models, from {{len .Sources}} sources: {{range $i, $s := .Sources}}{{if $i}}, {{end}}{{$s}}{{end}}.
The sources are published under Apache-2.0, MIT or CC0. SHA-256 of the unpacked prompts and outcomes: ` + "`{{.Weights.Data}}`" + `.
Seed {{.Weights.Seed}}. No prompt of the validation part was used to fit
anything, but settings were chosen by looking at what it reaches there, which flatters the figures below a little.

## What it reaches on {{.Validation}} validation prompts
Same sources as the training data, other questions. AUC: within a model, whether a prompt it answers better has the higher
estimate. Log loss: in nats, beside the loss of the model's mean in the source, which a predictor must beat to be of use. ECE: expected
calibration error. Area: between the cost-quality curve and the best random mixes of single models, as a share of the oracle's,
beside that of a table told the true task. Quality: of the choice by quality alone, as a share of the best priced single model's. What
the modes reach under the rule that serves is in docs/evaluation.md.

| source | prompts | AUC | log loss (mean) | ECE | area (true task) | quality |
|---|---|---|---|---|---|---|
{{range .Pools}}| {{.Source}} | {{.Prompts}} | {{printf "%.3f" .AUC}} | {{printf "%.4f (%.4f)" .LogLoss .Blind}} | {{printf "%.3f" .ECE}} | {{if gt .Models 1}}{{printf "%.3f (%.3f)" .Area .LookupArea}} | {{percent .Quality.Quality .BestQuality}}{{else}}- | -{{end}} |
{{end}}
Sources with fewer than a few hundred prompts say little: one point of quality is within their noise. Where a source
reports no tokens, cost is list price times prompt length plus {{.ProxyTokens}} output tokens.

## Far from the training data
Trust in the prompt is learned by training without whole tasks and without whole benchmarks: how far the predicted differences between models hold, by how near a prompt
is to its likely tasks and how sure the task is. It fades where the n-grams are unfamiliar. Without trust models differ by their averages, and {{share32 .Weights.Guard.Level}} of
the predicted level counts. Prompts below a trust of {{printf "%.1f" .Weights.Guard.Threshold}} are marked as guarded. Prompts with images or tools are always guarded: the training data has neither.

## Known limits
- English benchmarks for the most part: multiple choice, mathematics, code, puzzles. Open conversation is thin ({{.Chat}} prompts) and judged by
  one model, which favours long answers.
- Most models are of 2023 to early 2025. A model that training never saw enters by stated skills, by likeness, by its price trend or by
  graded prompts, with a wide uncertainty; ` + "`wye calibrate`" + ` says how wide.
- Lengths do not count hidden thinking, which the sources do not report. Reasoning models without reported lengths are estimated
  from the prompt alone.
- The skill labels of tasks are made by hand. They explain decisions and place untrained models; estimates of trained models do
  not use them.

## Settings
` + "```json\n{{.Settings}}\n```\n"

// WriteCard writes a model card in Markdown for w, fitted to d with settings
// and measured on the validation split.
func WriteCard(out io.Writer, w *predict.Weights, settings Config, d *Data, pools []Pool) error {
	text, err := settings.text()
	if err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	card := struct {
		Weights           *predict.Weights
		Dim, ProxyTokens  int
		Train, Validation int
		Answers, Chat     int
		Sources           []string
		Pools             []Pool
		Settings          string
	}{Weights: w, Dim: predict.Dim, ProxyTokens: proxyTokens, Pools: pools, Settings: text}
	for i := range d.Prompts {
		p := &d.Prompts[i]
		switch p.Split {
		case SplitTrain:
			card.Train++
			if p.Category == "chat" {
				card.Chat++
			}
			if !slices.Contains(card.Sources, p.Source) {
				card.Sources = append(card.Sources, p.Source)
			}
		case SplitVal:
			card.Validation++
		}
	}
	slices.Sort(card.Sources)
	for _, n := range w.Graded {
		card.Answers += n
	}
	t, err := template.New("card").Funcs(template.FuncMap{
		"percent": func(a, b float64) string { return fmt.Sprintf("%.1f%%", 100*a/max(b, 1e-9)) },
		"share32": func(a float32) string { return fmt.Sprintf("%.0f%%", 100*a) },
	}).Parse(cardText)
	if err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	if err := t.Execute(out, card); err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	return nil
}
