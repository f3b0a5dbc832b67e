package predict

import "math"

// The functions here avoid the standard library's transcendental functions,
// whose last bit differs between architectures, and convert every product to
// float32 explicitly, which forbids fused multiply-add.

// exp32 is e to the x for x in [-80, 80], clamped beyond, with a relative error
// below 1e-6.
func exp32(x float32) float32 {
	x = min(max(x, -80), 80)
	const log2e, ln2hi, ln2lo = 1.44269504, 0.693359375, -2.12194440e-4
	n := float32(math.Floor(float64(float32(x*log2e) + 0.5)))
	x -= float32(n * ln2hi)
	x -= float32(n * ln2lo)
	// Taylor series on |x| <= ln2/2.
	y := float32(1.0 / 5040)
	for _, c := range [...]float32{1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1} {
		y = float32(y*x) + c
	}
	return y * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// sigmoid is 1/(1+e^-x).
func sigmoid(x float32) float32 { return 1 / (1 + exp32(-x)) }

// log2 is a piecewise linear base-2 logarithm of 1+n, exact at powers of two:
// monotonic, and good enough for a feature.
func log2(n int) float32 {
	f := float32(max(n, 0) + 1)
	bits := math.Float32bits(f)
	exponent := int32(bits>>23) - 127
	mantissa := math.Float32frombits(bits&0x7fffff | 0x3f800000)
	return float32(exponent) + mantissa - 1
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
