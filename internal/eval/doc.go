// Package eval judges a predictor on recorded outcomes: what quality and cost
// router.Rank would have reached with its estimates, beside single models,
// random mixes of them, simple baselines and the oracle. It reads the project's
// data files from any folder, works pool by pool (a pool is one source) and
// puts a bootstrap interval on every figure. The same data, predictor and seed
// give the same report, byte for byte.
//
// It must not know policies, Envoy or HTTP, must not train the predictor, and
// must never let an outcome that it evaluates reach an estimate.
package eval
