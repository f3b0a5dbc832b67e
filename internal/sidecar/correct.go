package sidecar

import (
	"net/http"

	"wye/affinity"
	"wye/router"
	"wye/usage"
)

// corrector puts the memory of conversations right, once it is known where a
// request was answered, or that it was not.
func corrector(table *affinity.Table) func(*usage.Record) {
	return func(r *usage.Record) {
		turn := r.Turn()
		if turn.Content == 0 {
			return
		}
		if r.Served == nil || r.Status < http.StatusOK || r.Status >= http.StatusMultipleChoices {
			// By its content a turn is found only by those who have the answer. By a
			// name it would be found by whoever asks next.
			if turn.Named != 0 {
				table.Forget(turn.Named)
			}
			return
		}
		if r.Served.Model == "" {
			return // the policy of that time is forgotten
		}
		p := affinity.Place{Model: router.Key(r.Served.Model), Backend: router.Key(r.Served.Backend), Tokens: r.Inputs.PromptTokens}
		if r.Usage != nil {
			p.Tokens = int(r.Usage.Prompt)
		}
		table.Correct(turn.Content, p)
		if turn.Named != 0 {
			table.Correct(turn.Named, p)
		}
	}
}
