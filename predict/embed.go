package predict

import (
	_ "embed" // the weights
	"sync"
)

//go:embed weights/default.wye
var defaultWeights []byte

// Default returns the predictor that is built into the program. It is decoded
// once.
var Default = sync.OnceValues(func() (*Predictor, error) { return Load(defaultWeights) })
