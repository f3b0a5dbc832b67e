package demo

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"wye/router"
)

// Render writes the table of outcomes and the summary, which compares the cost
// with that of always calling the top model: the one that quality mode chose
// most often.
func Render(w io.Writer, outcomes []Outcome, models []router.Model) error {
	if err := renderTable(w, outcomes); err != nil {
		return err
	}
	if err := renderShares(w, outcomes); err != nil {
		return err
	}
	top := topModel(outcomes)
	return renderCosts(w, outcomes, models, top)
}

// topModel is the served version that quality mode chose most often.
func topModel(outcomes []Outcome) string {
	count := map[string]int{}
	for _, o := range outcomes {
		if o.Mode == router.ModeQuality.String() {
			count[o.Answer.Model]++
		}
	}
	names := mostFrequent(count)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// mostFrequent sorts names by count, then by name.
func mostFrequent(count map[string]int) []string {
	return slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], strings.Compare(a, b))
	})
}

func renderTable(w io.Writer, outcomes []Outcome) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROMPT\tMODE\tMODEL\tQUALITY\tEXPECTED COST\tATTEMPTS\tLATENCY")
	last := ""
	for _, o := range outcomes {
		name := o.Prompt
		if name == last {
			name = ""
		}
		last = o.Prompt
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t$%.6f\t%d\t%d ms\n",
			name, o.Mode, o.Answer.Model, o.Quality, o.Cost, o.Attempts, o.Latency/time.Millisecond)
	}
	return t.Flush()
}

// renderShares shows which models each mode chose, the most chosen first.
func renderShares(w io.Writer, outcomes []Outcome) error {
	fmt.Fprintln(w, "\nShare of models by mode")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, mode := range router.Modes {
		count, total := map[string]int{}, 0
		for _, o := range outcomes {
			if o.Mode == mode.String() {
				count[o.Answer.Model]++
				total++
			}
		}
		for i, name := range mostFrequent(count) {
			label := mode.String()
			if i > 0 {
				label = ""
			}
			fmt.Fprintf(t, "%s\t%s\t%3d%%\t%s\n", label, name, (count[name]*100+total/2)/total, strings.Repeat("▇", (count[name]*30+total-1)/total))
		}
	}
	return t.Flush()
}

// renderCosts prices the tokens that the providers reported, once at the price
// of the model that served and once at top's: the same tokens, because what top
// would have written is unknown.
func renderCosts(w io.Writer, outcomes []Outcome, models []router.Model, top string) error {
	price := map[string]*router.Price{}
	for i := range models {
		price[models[i].Name], price[models[i].ServedAs] = &models[i].Price, &models[i].Price
	}
	dear, ok := price[top]
	if !ok {
		return fmt.Errorf("the model %q to compare with is not in the policy", top)
	}
	fmt.Fprintf(w, "\nCost of the reported tokens, against sending every prompt to %s\n", top)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, mode := range router.Modes {
		var spent, always float64
		for _, o := range outcomes {
			if o.Mode != mode.String() {
				continue
			}
			p, ok := price[o.Answer.Model]
			if !ok {
				return fmt.Errorf("%s was served by %q, which the policy does not have", o.Prompt, o.Answer.Model)
			}
			in, cached, out := float64(o.Usage.PromptTokens), float64(o.Usage.PromptDetails.CachedTokens), float64(o.Usage.CompletionTokens)
			spent += p.Cost(in, cached, out)
			always += dear.Cost(in, cached, out)
		}
		fmt.Fprintf(t, "%v\t$%.4f\tof $%.4f\t%.0f%% saved\n", mode, spent, always, 100*(1-spent/always))
	}
	return t.Flush()
}
