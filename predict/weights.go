package predict

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Weights are all parameters of a predictor: what package train produces and a
// weights file holds. A tensor is a flat slice in row-major order; its length
// is given by the lists and constants named in its comment.
type Weights struct {
	Header `json:"header"`

	Rows []byte // Buckets x Dim: the n-gram table, biased by 128
	IDF  []byte // Buckets: inverse document frequency in steps of Header.IDFUnit

	RowScale []float32 // Dim: value of one step of Rows
	Mean     []float32 // Width: mean of the networks' raw input
	InvStd   []float32 // Width: one over its standard deviation

	TaskHidden []float32 // Hidden x (Width+1): weights and, last, bias
	TaskOut    []float32 // Tasks x (Hidden+1)
	ItemHidden []float32 // ItemHiddenSize x (Width+1)
	ItemOut    []float32 // (1+Axes+1+LengthAxes) x (ItemHiddenSize+1)

	Bias        []float32 // Models: ability common to all prompts, in logits
	Ability     []float32 // Models x Axes
	Average     []float32 // Models: prompt-blind logit relative to the level
	Residual    []float32 // Models x Tasks: logits beyond the item response model
	Variance    []float32 // Models x Tasks: posterior variance of the logit
	LengthBias  []float32 // Models: natural logarithm of tokens
	LengthAxes  []float32 // Models x LengthAxes
	LengthTask  []float32 // Models x Tasks: log tokens beyond the network's
	TaskItem    []float32 // Tasks x (1+Axes): mean level and demands
	TaskCentre  []float32 // Tasks x Dim: mean embedding, of unit length
	TaskNear    []float32 // Tasks x 2: mean cosine of its prompts to the centre, one over its deviation
	WithinLevel []float32 // Tasks: share of a prompt's level beyond its task's that counts
	Within      []float32 // Tasks: the same for its demands
	SkillOfTask []float32 // Tasks x Skills: share of each skill in a task

	// Samples x (Width+1): the raw input of some training prompts and, last,
	// how familiar their n-grams are; what rates are calibrated on.
	Samples []float32
}

// Header is the part of a weights file that is not numbers.
type Header struct {
	Version string   `json:"version"`
	Data    string   `json:"data"` // digest of the training data
	Seed    uint64   `json:"seed"`
	Tasks   []string `json:"tasks"`
	Models  []string `json:"models"`
	Skills  []string `json:"skills"`
	// Graded is the number of graded answers behind each model.
	Graded []int `json:"graded"`

	Hidden         int     `json:"hidden"`
	ItemHiddenSize int     `json:"item_hidden"`
	Axes           int     `json:"axes"`
	LengthAxesSize int     `json:"length_axes"`
	IDFUnit        float32 `json:"idf_unit"`

	// SampleTasks and SampleTokens are the task and the length of each sample.
	SampleTasks  []int `json:"sample_tasks"`
	SampleTokens []int `json:"sample_tokens"`

	Level float32 `json:"level"` // mean item level, in logits
	Guard Guard   `json:"guard"`
	Price Trend   `json:"price"`
}

// Trend is how the trained models' averages, in logits above the level, go
// with the logarithm of their price, in US dollars per million tokens at three
// of input to one of output.
type Trend struct {
	Intercept  float32 `json:"intercept"`
	Slope      float32 `json:"slope"`
	Spread     float32 `json:"spread"` // standard deviation about the line
	Low        float32 `json:"low"`    // range of log prices it was fitted on
	High       float32 `json:"high"`
	Mean       float32 `json:"mean"` // of all models, priced or not
	MeanSpread float32 `json:"mean_spread"`
}

// Signals is the number of signals that tell whether a prompt is of a kind that
// the training data has: how near it is to the centres of its likely tasks,
// in the standard deviations of those tasks' own prompts, and how sure the
// likeliest task is.
const Signals = 2

// Guard says how far the prompt is believed by how much it is like the training
// data. Trust is a logistic function of the signals, and fades to nothing where
// the text's n-grams are less familiar than those of nearly all training
// prompts. At full trust the prompt's
// level and the models' differences on it count in full; at none, the level
// counts by the share Level, and models differ by their averages.
type Guard struct {
	Weights   [Signals + 1]float32 `json:"weights"` // the last is a constant
	Level     float32              `json:"level"`
	Strange   float32              `json:"strange"`   // familiarity at which nothing is left of trust
	Familiar  float32              `json:"familiar"`  // and at which it is whole
	Threshold float32              `json:"threshold"` // trust below it marks an output as guarded
	// Spread is the standard deviation in logits, beyond the posterior's, of a
	// model's quality on a kind of task the predictor never saw.
	Spread float32 `json:"spread"`
}

const (
	magic         = "WYEPRED\n"
	formatVersion = 1
	maxHeader     = 1 << 20
)

// Errors of Load. They are wrapped with particulars.
var (
	ErrNotWeights = errors.New("not a wye weights file")
	ErrFormat     = errors.New("unsupported weights format")
	ErrDamaged    = errors.New("damaged weights file")
)

type tensor struct {
	name string
	to   *[]float32
	size int
}

// tensors lists the float tensors in file order with their sizes.
func (w *Weights) tensors() []tensor {
	t, m, s := len(w.Tasks), len(w.Models), len(w.Skills)
	return []tensor{
		{"row scale", &w.RowScale, Dim},
		{"mean", &w.Mean, Width},
		{"inverse deviation", &w.InvStd, Width},
		{"task hidden layer", &w.TaskHidden, w.Hidden * (Width + 1)},
		{"task output layer", &w.TaskOut, t * (w.Hidden + 1)},
		{"item hidden layer", &w.ItemHidden, w.ItemHiddenSize * (Width + 1)},
		{"item output layer", &w.ItemOut, (2 + w.Axes + w.LengthAxesSize) * (w.ItemHiddenSize + 1)},
		{"bias", &w.Bias, m},
		{"ability", &w.Ability, m * w.Axes},
		{"average", &w.Average, m},
		{"residual", &w.Residual, m * t},
		{"variance", &w.Variance, m * t},
		{"length bias", &w.LengthBias, m},
		{"length axes", &w.LengthAxes, m * w.LengthAxesSize},
		{"length by task", &w.LengthTask, m * t},
		{"demands by task", &w.TaskItem, t * (1 + w.Axes)},
		{"task centres", &w.TaskCentre, t * Dim},
		{"nearness by task", &w.TaskNear, 2 * t},
		{"level scale by task", &w.WithinLevel, t},
		{"demand scale by task", &w.Within, t},
		{"skills by task", &w.SkillOfTask, t * s},
		{"samples", &w.Samples, len(w.SampleTasks) * (Width + 1)},
	}
}

// check reports every size that does not fit the header, and every number that
// is not finite.
func (w *Weights) check() error {
	var errs []error
	if len(w.Rows) != Buckets*Dim || len(w.IDF) != Buckets {
		errs = append(errs, fmt.Errorf("n-gram table of %d and %d bytes, want %d and %d", len(w.Rows), len(w.IDF), Buckets*Dim, Buckets))
	}
	if len(w.Graded) != len(w.Models) {
		errs = append(errs, fmt.Errorf("%d counts for %d models", len(w.Graded), len(w.Models)))
	}
	if len(w.Tasks) == 0 || len(w.Tasks) > maxTasks || w.Hidden < 1 || w.Hidden > maxHidden ||
		w.ItemHiddenSize < 1 || w.ItemHiddenSize > maxHidden || w.Axes < 0 || w.LengthAxesSize < 0 ||
		w.Axes+w.LengthAxesSize+2 > maxItemOut {
		errs = append(errs, fmt.Errorf("%d tasks, layers of %d and %d, %d and %d axes are out of range",
			len(w.Tasks), w.Hidden, w.ItemHiddenSize, w.Axes, w.LengthAxesSize))
		return errors.Join(errs...)
	}
	errs = append(errs, w.checkSamples())
	for _, t := range w.tensors() {
		if len(*t.to) != t.size {
			errs = append(errs, fmt.Errorf("%s: %d numbers, want %d", t.name, len(*t.to), t.size))
		}
		for _, v := range *t.to {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				errs = append(errs, fmt.Errorf("%s: holds a number that is not finite", t.name))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// MarshalBinary encodes w as a weights file: magic, format version, length and
// SHA-256 of what follows, then the header as JSON and the tensors in little
// endian. Equal weights give equal bytes.
func (w *Weights) MarshalBinary() ([]byte, error) {
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("encode weights: %w", err)
	}
	header, err := json.Marshal(w.Header)
	if err != nil {
		return nil, fmt.Errorf("encode weights: %w", err)
	}
	var body bytes.Buffer
	body.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(header))))
	body.Write(header)
	body.Write(w.Rows)
	body.Write(w.IDF)
	for _, t := range w.tensors() {
		if err := binary.Write(&body, binary.LittleEndian, *t.to); err != nil {
			return nil, fmt.Errorf("encode weights: %w", err)
		}
	}
	sum := sha256.Sum256(body.Bytes())
	out := make([]byte, 0, prefixSize+body.Len())
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, formatVersion)
	out = binary.LittleEndian.AppendUint64(out, uint64(body.Len()))
	out = append(out, sum[:]...)
	return append(out, body.Bytes()...), nil
}

const prefixSize = len(magic) + 4 + 8 + sha256.Size

// UnmarshalBinary decodes a weights file. w keeps views of b, which the caller
// must not change. Errors wrap ErrNotWeights, ErrFormat or ErrDamaged.
func (w *Weights) UnmarshalBinary(b []byte) error {
	if len(b) < prefixSize || string(b[:len(magic)]) != magic {
		return fmt.Errorf("load weights: %w", ErrNotWeights)
	}
	b = b[len(magic):]
	if v := binary.LittleEndian.Uint32(b); v != formatVersion {
		return fmt.Errorf("load weights: %w: version %d, this program reads %d", ErrFormat, v, formatVersion)
	}
	length, body := binary.LittleEndian.Uint64(b[4:]), b[12+sha256.Size:]
	if length != uint64(len(body)) {
		return fmt.Errorf("load weights: %w: %d bytes of content, want %d", ErrDamaged, len(body), length)
	}
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[12:12+sha256.Size]) {
		return fmt.Errorf("load weights: %w: checksum mismatch", ErrDamaged)
	}
	if err := w.decode(body); err != nil {
		return fmt.Errorf("load weights: %w: %w", ErrDamaged, err)
	}
	return nil
}

// decode reads what the checksum covers.
func (w *Weights) decode(body []byte) error {
	if len(body) < 4 {
		return errors.New("no header")
	}
	n := int(binary.LittleEndian.Uint32(body))
	body = body[4:]
	if n > maxHeader || n > len(body) {
		return fmt.Errorf("header of %d bytes", n)
	}
	*w = Weights{}
	if err := json.Unmarshal(body[:n], &w.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	body = body[n:]
	if len(body) < Buckets*(Dim+1) {
		return errors.New("n-gram table is cut off")
	}
	w.Rows, body = body[:Buckets*Dim], body[Buckets*Dim:]
	w.IDF, body = body[:Buckets], body[Buckets:]
	for _, t := range w.tensors() {
		if t.size < 0 || len(body)/4 < t.size {
			return fmt.Errorf("%s is cut off", t.name)
		}
		values := make([]float32, t.size)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[i*4:]))
		}
		*t.to, body = values, body[t.size*4:]
	}
	if len(body) > 0 {
		return fmt.Errorf("%d bytes too many", len(body))
	}
	return w.check()
}
