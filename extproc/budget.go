package extproc

import (
	"strconv"

	"wye/router"
)

// heedBudget tells the router how far d's budget is used.
func (st *stream) heedBudget(d *router.Deployment) {
	if b := &d.Budget; b.USDPerDay > 0 {
		used, step := st.server.config.Spending.Level(d.Name, b.USDPerDay, b.Shares())
		st.request.BudgetUsed, st.request.Floor = used, router.Steps[step]
	}
}

// reserveCost counts what the first model is expected to cost.
func (st *stream) reserveCost() {
	if d := st.decision.Deployment; d.Budget.USDPerDay > 0 {
		st.request.Reserved = st.decision.Candidates[0].Cost
		st.server.config.Spending.Add(d.Name, st.request.Reserved)
	}
}

// appendBudget writes the share of the budget that was spent before this request
// and, if it is the budget that asks for it, the mode, as a structured field
// (RFC 8941): 0.83;mode=balanced.
func (st *stream) appendBudget(dst []byte) []byte {
	dst = strconv.AppendFloat(dst, st.request.BudgetUsed, 'f', 2, 64)
	if st.decision.Stepped {
		dst = append(append(dst, ";mode="...), st.decision.Mode.String()...)
	}
	return dst
}
