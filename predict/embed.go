package predict

import (
	_ "embed" // the weights
	"sync"
)

//go:embed weights/default.wye
var builtInWeights []byte

var builtIn = sync.OnceValues(func() (*Predictor, error) { return Load(builtInWeights) })

// Default returns the predictor that is built into the program. It is decoded
// once.
func Default() (*Predictor, error) { return builtIn() }
