package router

// Budget is what a deployment should spend in a day. The more of it is spent, the
// thriftier the modes in which requests are decided. The zero value is none.
type Budget struct {
	USDPerDay float64
	// Balanced and Cost are the shares of it, once spent, from which on no request
	// is decided in a mode less thrifty.
	Balanced, Cost float64
}

// Steps are the modes that a budget steps to, in the order in which it does.
var Steps = [...]Mode{ModeDefault, ModeBalanced, ModeCost}

// Shares are the shares from which on the second and third of Steps apply.
func (b Budget) Shares() [len(Steps) - 1]float64 {
	return [...]float64{b.Balanced, b.Cost}
}
