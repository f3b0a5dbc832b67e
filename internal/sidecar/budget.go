package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rs/zerolog"

	"wye/internal/telemetry"
	"wye/limits"
	"wye/router"
	"wye/usage"
)

// settler corrects what was counted to budgets, once it is known what requests
// cost. What stays unknown stays counted as expected.
func settler(spending *limits.Spending) func(*usage.Record) {
	return func(r *usage.Record) {
		switch {
		case r.Reserved() == 0:
		case r.CostUSD != nil:
			spending.Add(r.Deployment, *r.CostUSD-r.Reserved())
		case r.Unknown == usage.NoAnswer:
			spending.Add(r.Deployment, -r.Reserved())
		}
	}
}

// saveInterval is how often the spending is written to its file.
const saveInterval = 10 * time.Second

// spendingFile keeps the spending in a file, so that a restart does not forget it.
// Without a path it keeps nothing.
type spendingFile struct {
	path     string
	spending *limits.Spending
	log      zerolog.Logger
	saved    int64 // Changes of what the file has
}

// load reads the file, if there is one.
func (f *spendingFile) load() error {
	if f.path == "" {
		return nil
	}
	content, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.save() // whether it can be written is better known now
	}
	if err != nil {
		return fmt.Errorf("read budget file: %w", err)
	}
	if err := json.Unmarshal(content, f.spending); err != nil {
		return fmt.Errorf("budget file %s: %w", f.path, err)
	}
	return nil
}

// run saves until ctx ends. Errors are logged and nothing is lost by them but a
// part of what the next start would know.
func (f *spendingFile) run(ctx context.Context) {
	if f.path == "" {
		return
	}
	ticker := time.NewTicker(saveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := f.save(); err != nil {
				f.log.Error().Err(err).Msg("budgets are not saved")
			}
		}
	}
}

// save puts a new file in place of the old one, unless nothing has changed.
func (f *spendingFile) save() error {
	if f.path == "" {
		return nil
	}
	changes := f.spending.Changes()
	if changes == f.saved && changes > 0 {
		return nil
	}
	content, err := json.Marshal(f.spending)
	if err != nil {
		return fmt.Errorf("save budget file: %w", err)
	}
	if err := os.WriteFile(f.path+".new", content, 0o600); err != nil {
		return fmt.Errorf("save budget file: %w", err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		return fmt.Errorf("save budget file: %w", err)
	}
	f.saved = changes
	return nil
}

// budgets is where the deployments of s stand against their budgets.
func budgets(s *router.Snapshot, spending *limits.Spending) []telemetry.Budget {
	if s == nil {
		return nil // no policy yet
	}
	var all []telemetry.Budget
	for i := range s.Deployments {
		d := &s.Deployments[i]
		if b := &d.Budget; b.USDPerDay > 0 {
			used, step := spending.Level(d.Name, b.USDPerDay, b.Shares())
			all = append(all, telemetry.Budget{Deployment: d.Name, USD: b.USDPerDay, Spent: used * b.USDPerDay, Step: step})
		}
	}
	return all
}
