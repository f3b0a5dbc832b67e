package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Config are the settings of a training run.
type Config struct {
	Version string `json:"version"` // name of the weights, e.g. 2026-11-25.3
	Seed    uint64 `json:"seed"`

	SVDIterations int `json:"svd_iterations"`

	TaskHidden  int     `json:"task_hidden"`
	TaskEpochs  int     `json:"task_epochs"`
	ItemHidden  int     `json:"item_hidden"`
	ItemEpochs  int     `json:"item_epochs"`
	CrossEpochs int     `json:"cross_epochs"` // of networks that are only there to be tested
	Axes        int     `json:"axes"`
	LengthAxes  int     `json:"length_axes"`
	Dropout     float64 `json:"dropout"`
	Augment     float64 `json:"augment"`      // share of prompts that an epoch sees put otherwise
	Decay       float64 `json:"decay"`        // weight decay of the networks
	AxisDecay   float64 `json:"axis_decay"`   // of abilities
	LearnRate   float64 `json:"learn_rate"`   // Adam's, falling to zero over the run
	Batch       int     `json:"batch"`        // prompts a step
	FamilyVar   float64 `json:"family_var"`   // prior variances in squared logits: of a model's residual on a
	ResidualVar float64 `json:"residual_var"` // family of tasks, of one task about its family's,
	WithinVar   float64 `json:"within_var"`   // and, a ratio, of how far a prompt differs from its task

	// Skills says, by task or by category, what share of each skill it asks for.
	Skills map[string]map[string]float64 `json:"skills,omitempty"`
}

// DefaultConfig are the settings of the weights that ship.
func DefaultConfig() Config {
	return Config{
		Version: "2026-11-25.3", Seed: 1, SVDIterations: 2,
		TaskHidden: 96, TaskEpochs: 10, ItemHidden: 128, ItemEpochs: 10, CrossEpochs: 10, Axes: 16, LengthAxes: 4,
		Dropout: 0.3, Augment: 0.4, Decay: 1e-3, AxisDecay: 1e-2, LearnRate: 2e-3, Batch: 64,
		FamilyVar: 0.5, ResidualVar: 0.25, WithinVar: 0.1,
		Skills: defaultSkills(),
	}
}

// ParseConfig reads settings as JSON over the defaults; an unknown field is an
// error.
func ParseConfig(b []byte) (Config, error) {
	c := DefaultConfig()
	in := json.NewDecoder(bytes.NewReader(b))
	in.DisallowUnknownFields()
	if err := in.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("parse training configuration: %w", err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("parse training configuration: %w", err)
	}
	return c, nil
}

func (c *Config) check() error {
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is out of range", name))
		}
	}
	positive("version", c.Version != "")
	positive("svd_iterations", c.SVDIterations > 0)
	positive("task_hidden", c.TaskHidden > 0 && c.TaskHidden <= 256)
	positive("item_hidden", c.ItemHidden > 0 && c.ItemHidden <= 256)
	positive("task_epochs", c.TaskEpochs > 0)
	positive("item_epochs", c.ItemEpochs > 0)
	positive("cross_epochs", c.CrossEpochs > 0)
	positive("axes", c.Axes > 0 && c.LengthAxes > 0 && c.Axes+c.LengthAxes <= 62)
	positive("dropout", c.Dropout >= 0 && c.Dropout < 1)
	positive("augment", c.Augment >= 0 && c.Augment <= 1)
	positive("decay", c.Decay >= 0 && c.AxisDecay >= 0)
	positive("learn_rate", c.LearnRate > 0)
	positive("batch", c.Batch > 0)
	positive("residual_var", c.FamilyVar > 0 && c.ResidualVar > 0 && c.WithinVar > 0)
	return errors.Join(errs...)
}

// text is the settings as ParseConfig reads them, the skill labels left out.
func (c Config) text() (string, error) {
	c.Skills = nil
	b, err := json.MarshalIndent(c, "", "  ")
	return string(b), err
}
