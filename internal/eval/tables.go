package eval

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// table reads a CSV file whose first line names the columns, in any order.
type table struct {
	name    string
	r       *csv.Reader
	columns map[string]int
	row     []string
}

// newTable reads the header and checks that it has the required columns.
func newTable(name string, r io.Reader, required ...string) (*table, error) {
	t := &table{name: name, r: csv.NewReader(r), columns: map[string]int{}}
	t.r.ReuseRecord = true
	header, err := t.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:1: no header", name)
	}
	if err != nil {
		return nil, t.wrap(err)
	}
	for i, c := range header {
		t.columns[c] = i
	}
	for _, c := range required {
		if _, ok := t.columns[c]; !ok {
			return nil, fmt.Errorf("%s:1: no column %q", name, c)
		}
	}
	return t, nil
}

// next moves to the next row; io.EOF comes bare at the end.
func (t *table) next() (err error) {
	if t.row, err = t.r.Read(); err != nil && !errors.Is(err, io.EOF) {
		return t.wrap(err)
	}
	return err
}

// wrap puts file:line before err. A csv.ParseError knows its own line; any
// other error comes from the stream under it.
func (t *table) wrap(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("%s:%d: %w", t.name, p.Line, p.Err)
	}
	return fmt.Errorf("%s: %w", t.name, err)
}

// errorf makes an error about the current row.
func (t *table) errorf(format string, a ...any) error {
	line, _ := t.r.FieldPos(0)
	return fmt.Errorf("%s:%d: %w", t.name, line, fmt.Errorf(format, a...))
}

// text returns a column of the current row, valid until next; empty when the
// file lacks the column.
func (t *table) text(column string) string {
	if i, ok := t.columns[column]; ok {
		return t.row[i]
	}
	return ""
}

// number parses a column; NaN when it is empty or absent.
func (t *table) number(column string) (float64, error) {
	s := t.text(column)
	if s == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, t.errorf("%s is %q, must be a number", column, s)
	}
	if v < 0 {
		return 0, t.errorf("%s is %v, must not be negative", column, v)
	}
	return v, nil
}

func (d *Data) readPrices(name string, r io.Reader) error {
	t, err := newTable(name, r, "model", "price_in_per_1m", "price_out_per_1m")
	if err != nil {
		return err
	}
	d.Prices = map[string]Price{}
	seen := map[string]bool{}
	for {
		if err := t.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		model := strings.Clone(t.text("model"))
		switch {
		case model == "":
			return t.errorf("no model")
		case seen[model]:
			return t.errorf("model %q appears twice", model)
		}
		seen[model] = true
		in, err := t.number("price_in_per_1m")
		if err != nil {
			return err
		}
		out, err := t.number("price_out_per_1m")
		if err != nil {
			return err
		}
		if math.IsNaN(in) != math.IsNaN(out) {
			return t.errorf("model %q has one price, must have both or none", model)
		}
		if !math.IsNaN(in) {
			d.Prices[model] = Price{Input: in, Output: out, From: strings.Clone(t.text("price_from"))}
		}
	}
}

func (d *Data) readOutcomes(name string, r io.Reader, index map[string]int) error {
	t, err := newTable(name, r, "prompt_id", "model", "score")
	if err != nil {
		return err
	}
	models := map[string]int{}
	rows := 0
	for {
		if err := t.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		rows++
		prompt, ok := index[t.text("prompt_id")]
		if !ok {
			return t.errorf("prompt_id %q is not among the prompts", t.text("prompt_id"))
		}
		o, err := t.outcome()
		if err != nil {
			return err
		}
		model := t.text("model")
		if o.Model, ok = models[model]; !ok {
			model = strings.Clone(model)
			o.Model = len(d.Models)
			models[model] = o.Model
			d.Models = append(d.Models, model)
		}
		for _, other := range d.Outcomes[prompt] {
			if other.Model == o.Model {
				return t.errorf("a second outcome of model %q for prompt %q", model, t.text("prompt_id"))
			}
		}
		d.Outcomes[prompt] = append(d.Outcomes[prompt], o)
	}
	if rows == 0 {
		return fmt.Errorf("%s: no outcomes", name)
	}
	return nil
}

// outcome parses the current row but for its model's index.
func (t *table) outcome() (Outcome, error) {
	var o Outcome
	if t.text("model") == "" {
		return o, t.errorf("no model")
	}
	var err error
	if o.Score, err = t.number("score"); err != nil {
		return o, err
	}
	if !(o.Score <= 1) { // also catches NaN
		return o, t.errorf("score is %q, must be 0 to 1", t.text("score"))
	}
	if o.Tokens, err = t.number("output_tokens"); err != nil {
		return o, err
	}
	o.Cost, err = t.number("cost_usd")
	return o, err
}
