package train

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Names of the files in a data folder.
const (
	promptsFile  = "prompts.jsonl.gz"
	outcomesFile = "outcomes.csv.gz"
	pricesFile   = "models.csv"
)

// Splits of the prompts.
const (
	SplitTrain = "train"
	SplitVal   = "val"
)

// Prompt is one line of prompts.jsonl.gz.
type Prompt struct {
	ID          string `json:"prompt_id"`
	Source      string `json:"source"`
	Task        string `json:"task"`
	Category    string `json:"category"`
	Text        string `json:"prompt"`
	System      string `json:"system"`
	InputTokens int    `json:"n_input_tokens"`
	Group       string `json:"group"`
	Split       string `json:"split"`
	Fold        int    `json:"task_fold"`
}

// Outcome is one graded answer. Tokens and Cost are NaN where unknown.
type Outcome struct {
	Prompt int // index into Data.Prompts
	Model  int // index into Data.Models
	Score  float32
	Tokens float32
	Cost   float64 // US dollars
}

// Price is a model's price in US dollars per million tokens.
type Price struct{ Input, Output float64 }

// Data is a data folder. Outcomes are ordered by prompt, then model.
type Data struct {
	Prompts  []Prompt
	Outcomes []Outcome
	Models   []string // sorted
	Prices   map[string]Price
	Digest   string // SHA-256 of the prompts and outcomes files as read
}

// ReadData reads a data folder. Errors name the file and, where there is one,
// the line.
func ReadData(dir string) (*Data, error) {
	d := &Data{Prices: map[string]Price{}}
	sum := sha256.New()
	index := map[string]int{}
	if err := readFile(filepath.Join(dir, promptsFile), sum, func(r io.Reader) error { return d.readPrompts(r, index) }); err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	if err := readFile(filepath.Join(dir, outcomesFile), sum, func(r io.Reader) error { return d.readOutcomes(r, index) }); err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	if err := readFile(filepath.Join(dir, pricesFile), io.Discard, d.readPrices); err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	d.Digest = hex.EncodeToString(sum.Sum(nil))
	return d, nil
}

// readFile opens path, unpacks it if its name ends in .gz, and hands it to
// parse, copying the unpacked bytes to tee.
func readFile(path string, tee io.Writer, parse func(io.Reader) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var r io.Reader = bufio.NewReaderSize(f, 1<<20)
	if filepath.Ext(path) == ".gz" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r = z
	}
	if err := parse(io.TeeReader(r, tee)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (d *Data) readPrompts(r io.Reader, index map[string]int) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	for line := 1; in.Scan(); line++ {
		var p Prompt
		if err := json.Unmarshal(in.Bytes(), &p); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if _, ok := index[p.ID]; ok || p.ID == "" {
			return fmt.Errorf("line %d: prompt_id %q is empty or not unique", line, p.ID)
		}
		index[p.ID] = len(d.Prompts)
		d.Prompts = append(d.Prompts, p)
	}
	return in.Err()
}

// readOutcomes needs the prompts. An outcome of an unknown prompt is an error:
// the two files do not belong together.
func (d *Data) readOutcomes(r io.Reader, index map[string]int) error {
	in, column, err := header(r, "prompt_id", "model", "score", "output_tokens", "cost_usd")
	if err != nil {
		return err
	}
	models := map[string]int{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		line, _ := in.FieldPos(0)
		prompt, ok := index[row[column[0]]]
		if !ok {
			return fmt.Errorf("line %d: no prompt %q", line, row[column[0]])
		}
		score, err := strconv.ParseFloat(row[column[2]], 32)
		if err != nil || !(score >= 0 && score <= 1) {
			return fmt.Errorf("line %d: score %q is not a number from 0 to 1", line, row[column[2]])
		}
		tokens, err := optional(row[column[3]])
		if err != nil {
			return fmt.Errorf("line %d: output_tokens: %w", line, err)
		}
		cost, err := optional(row[column[4]])
		if err != nil {
			return fmt.Errorf("line %d: cost_usd: %w", line, err)
		}
		name := row[column[1]]
		model, ok := models[name]
		if !ok {
			model = len(d.Models)
			models[name] = model
			d.Models = append(d.Models, name)
		}
		d.Outcomes = append(d.Outcomes, Outcome{prompt, model, float32(score), float32(tokens), cost})
	}
	// Number the models by name, so that nothing depends on the file's order.
	sorted := slices.Sorted(slices.Values(d.Models))
	renumber := make([]int, len(sorted))
	for i, name := range sorted {
		renumber[models[name]] = i
	}
	d.Models = sorted
	for i := range d.Outcomes {
		d.Outcomes[i].Model = renumber[d.Outcomes[i].Model]
	}
	slices.SortFunc(d.Outcomes, func(a, b Outcome) int {
		if a.Prompt != b.Prompt {
			return a.Prompt - b.Prompt
		}
		return a.Model - b.Model
	})
	for i := 1; i < len(d.Outcomes); i++ {
		if a, b := &d.Outcomes[i-1], &d.Outcomes[i]; a.Prompt == b.Prompt && a.Model == b.Model {
			return fmt.Errorf("prompt %q: two outcomes of model %q", d.Prompts[a.Prompt].ID, d.Models[a.Model])
		}
	}
	return nil
}

func (d *Data) readPrices(r io.Reader) error {
	in, column, err := header(r, "model", "price_in_per_1m", "price_out_per_1m")
	if err != nil {
		return err
	}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := in.FieldPos(0)
		input, err := optional(row[column[1]])
		if err != nil {
			return fmt.Errorf("line %d: price_in_per_1m: %w", line, err)
		}
		output, err := optional(row[column[2]])
		if err != nil {
			return fmt.Errorf("line %d: price_out_per_1m: %w", line, err)
		}
		if !math.IsNaN(input) && !math.IsNaN(output) {
			d.Prices[row[column[0]]] = Price{input, output}
		}
	}
}

// header starts reading a CSV file and finds the columns.
func header(r io.Reader, names ...string) (in *csv.Reader, column []int, err error) {
	in = csv.NewReader(r)
	in.ReuseRecord = true
	row, err := in.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	for _, name := range names {
		at := slices.Index(row, name)
		if at < 0 {
			return nil, nil, fmt.Errorf("header: no column %q", name)
		}
		column = append(column, at)
	}
	return in, column, nil
}

// optional parses a number of at least zero; an empty field is NaN.
func optional(field string) (float64, error) {
	if field == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(field, 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number of at least zero", field)
	}
	return v, nil
}
