package router

import "fmt"

// Mode says how a deployment trades predicted quality against expected cost.
type Mode uint8

// The modes. ModeDefault in a Request stands for the deployment's own mode; a
// compiled Deployment never has it.
const (
	ModeDefault  Mode = iota
	ModeQuality       // the best predicted quality, whatever the price
	ModeBalanced      // as cheap as a narrow loss of average quality allows
	ModeCost          // as cheap as a wider one allows
	modeCount
)

// Modes lists the modes a client or a deployment can name.
var Modes = [...]Mode{ModeQuality, ModeBalanced, ModeCost}

// String returns the mode as policies and headers spell it.
func (m Mode) String() string {
	switch m {
	case ModeDefault:
		return "default"
	case ModeQuality:
		return "quality"
	case ModeBalanced:
		return "balanced"
	case ModeCost:
		return "cost"
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// ParseMode is the inverse of String for the modes a client can name; it is
// case-sensitive. ok is false for anything else.
func ParseMode[S ~string | ~[]byte](s S) (m Mode, ok bool) {
	switch string(s) {
	case "quality":
		return ModeQuality, true
	case "balanced":
		return ModeBalanced, true
	case "cost":
		return ModeCost, true
	}
	return ModeDefault, false
}

// ModeSet is a set of modes.
type ModeSet uint8

// With returns the set with m added.
func (s ModeSet) With(m Mode) ModeSet { return s | 1<<m }

// Has reports whether m is in the set.
func (s ModeSet) Has(m Mode) bool { return s&(1<<m) != 0 }
