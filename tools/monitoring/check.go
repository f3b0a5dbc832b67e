package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// checkRules reads alert rules as Prometheus does when it starts: names,
// expressions, durations, labels and the templates of annotations.
func checkRules(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	groups, errs := rulefmt.Parse(text, false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) == 0 && len(groups.Groups) == 0 {
		return errors.New("there are no rules")
	}
	return errors.Join(errs...)
}

var (
	rateInterval = regexp.MustCompile(`\$__(rate_)?interval|\$__range`)
	variable     = regexp.MustCompile(`\$\{?[a-zA-Z_]+\}?`)
)

// checkDashboard parses every query of a Grafana dashboard, with its variables
// replaced by what they may stand for, and fails on a variable that the dashboard
// does not have.
func checkDashboard(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var board struct {
		Templating struct {
			List []struct {
				Name string `json:"name"`
			} `json:"list"`
		} `json:"templating"`
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, v := range board.Templating.List {
		known[v.Name] = true
	}
	promql := parser.NewParser(parser.Options{})
	var errs []error
	queries := 0
	for _, p := range board.Panels {
		for _, t := range p.Targets {
			queries++
			expr := rateInterval.ReplaceAllString(t.Expr, "5m")
			for _, v := range variable.FindAllString(expr, -1) {
				if !known[strings.Trim(v, "${}")] {
					errs = append(errs, fmt.Errorf("%s: there is no variable %s", p.Title, v))
				}
			}
			if _, err := promql.ParseExpr(variable.ReplaceAllString(expr, "x")); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.Title, err))
			}
		}
	}
	if queries == 0 {
		errs = append(errs, errors.New("there are no queries"))
	}
	return errors.Join(errs...)
}
