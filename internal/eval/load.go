package eval

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Prompt is one line of prompts.jsonl.
type Prompt struct {
	ID          string
	Source      string // names the pool
	Task        string
	System      string
	Text        string // the last user turn
	Tools       string // declared tools, as JSON; empty for none
	ToolCount   int
	InputTokens int    // estimated from the length where the file has none
	Group       string // prompts of one question; never split
	Split       string // train, val or test

	Free bool // nothing is charged for the system prompt
}

// Outcome is what one model made of one prompt.
type Outcome struct {
	Model  int     // index into Data.Models
	Score  float64 // 0 to 1
	Tokens float64 // output tokens, NaN when unknown
	Cost   float64 // US dollars as the source reports them, NaN when unknown
}

// Price is a line of models.csv, in US dollars per million tokens.
type Price struct {
	Input, Output float64
	// From says where the figures come from.
	From string
}

// Weak reports whether the price is a guess: recalled from memory (L) or
// inferred from the parameter count (size).
func (p Price) Weak() bool { return p.From == "L" || p.From == "size" }

// Data is one folder of recorded outcomes. It is read-only once loaded.
type Data struct {
	Dir      string
	Prompts  []Prompt // in file order
	Models   []string // sorted
	Prices   map[string]Price
	Outcomes [][]Outcome // of Prompts[i], in file order
}

// Load reads prompts.jsonl, outcomes.csv and models.csv from dir, each plain or
// with .gz appended. Faults in a file are errors that start with file:line.
func Load(dir string) (*Data, error) {
	d := &Data{Dir: dir}
	index := map[string]int{}
	if err := read(dir, "prompts.jsonl", func(name string, r io.Reader) error {
		return d.readPrompts(name, r, index)
	}); err != nil {
		return nil, err
	}
	if err := read(dir, "models.csv", d.readPrices); err != nil {
		return nil, err
	}
	if err := read(dir, "outcomes.csv", func(name string, r io.Reader) error {
		return d.readOutcomes(name, r, index)
	}); err != nil {
		return nil, err
	}
	d.sortModels()
	return d, nil
}

// read hands the decompressed content of dir/name or dir/name.gz to parse.
func read(dir, name string, parse func(name string, r io.Reader) error) (err error) {
	path := filepath.Join(dir, name+".gz")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(dir, name)
		if f, err = os.Open(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: has neither %s.gz nor %s", dir, name, name)
		}
	}
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing can be lost
	var r io.Reader = bufio.NewReaderSize(f, 1<<16)
	if filepath.Ext(path) == ".gz" {
		if r, err = gzip.NewReader(r); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return parse(path, r)
}

// maxLine bounds a line of prompts.jsonl.
const maxLine = 16 << 20

// promptLine is a prompt as the file spells it.
type promptLine struct {
	ID          string          `json:"prompt_id"`
	Source      string          `json:"source"`
	Task        string          `json:"task"`
	System      string          `json:"system"`
	Prompt      string          `json:"prompt"`
	Tools       json.RawMessage `json:"tools"`
	InputTokens *float64        `json:"n_input_tokens"`
	Group       string          `json:"group"`
	Split       string          `json:"split"`
}

func (d *Data) readPrompts(name string, r io.Reader, index map[string]int) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var l promptLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			// A stream that breaks off shows as half a line first.
			if !lines.Scan() && lines.Err() != nil {
				err = lines.Err()
			}
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		p, err := l.prompt()
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if _, ok := index[p.ID]; ok {
			return fmt.Errorf("%s:%d: prompt_id %q appears twice", name, n, p.ID)
		}
		index[p.ID] = len(d.Prompts)
		d.Prompts = append(d.Prompts, p)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	if len(d.Prompts) == 0 {
		return fmt.Errorf("%s: no prompts", name)
	}
	d.Outcomes = make([][]Outcome, len(d.Prompts))
	return nil
}

const (
	// bytesPerToken estimates prompt tokens where the file states none.
	bytesPerToken = 4
	// maxTokens bounds what a file may state: more is a mistake.
	maxTokens = 1e9
)

func (l *promptLine) prompt() (Prompt, error) {
	p := Prompt{
		ID: l.ID, Source: l.Source, Task: l.Task, System: l.System, Text: l.Prompt,
		Group: l.Group, Split: l.Split,
	}
	switch {
	case p.ID == "":
		return p, errors.New("no prompt_id")
	case p.Source == "":
		return p, errors.New("no source")
	case p.Text == "" && p.System == "":
		return p, errors.New("no prompt")
	case l.InputTokens != nil && !(*l.InputTokens >= 0 && *l.InputTokens <= maxTokens):
		return p, fmt.Errorf("n_input_tokens is %v, must be 0 to %d", *l.InputTokens, int(maxTokens))
	}
	if err := p.setTools(l.Tools); err != nil {
		return p, err
	}
	if l.InputTokens != nil {
		p.InputTokens = int(*l.InputTokens)
	} else {
		p.InputTokens = (len(p.System)+len(p.Text)+len(p.Tools))/bytesPerToken + 1
	}
	if p.Task == "" {
		p.Task = p.Source
	}
	if p.Group == "" {
		p.Group = p.ID
	}
	switch p.Split {
	case "":
		p.Split = SplitTest
	case SplitTrain, SplitVal, SplitTest:
	default:
		return p, fmt.Errorf("split is %q, must be train, val or test", p.Split)
	}
	return p, nil
}

// setTools takes a list of tools, or the same list as text in a JSON string.
func (p *Prompt) setTools(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return fmt.Errorf("tools: %w", err)
		}
		if text == "" {
			return nil
		}
		raw = json.RawMessage(text)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("tools: must be a list: %w", err)
	}
	p.ToolCount = len(list)
	if p.ToolCount > 0 {
		p.Tools = string(raw)
	}
	return nil
}

// sortModels puts Models in order and keeps the outcomes' indexes right.
func (d *Data) sortModels() {
	order := make([]int, len(d.Models))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(d.Models[a], d.Models[b]) })
	to := make([]int, len(order))
	sorted := make([]string, len(order))
	for i, from := range order {
		to[from], sorted[i] = i, d.Models[from]
	}
	d.Models = sorted
	for _, row := range d.Outcomes {
		for i := range row {
			row[i].Model = to[row[i].Model]
		}
	}
}
